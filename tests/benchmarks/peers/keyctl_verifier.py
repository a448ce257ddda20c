"""keyctl's Verifier, in a process of its own. `hashed` remembers no key: each call looks it up and hashes it.

usage: keyctl_verifier.py STORE CALLS remembered|hashed < KEY
"""

import json
import sys
import time

from keyctl.verifier import Verifier

store, count, how = sys.argv[1:]
key = sys.stdin.read().strip()
verifier = Verifier.from_store(store, **({} if how == "remembered" else {"cache_size": 0}))
assert verifier.verify(key)
start, computing = time.perf_counter(), time.process_time()
for _ in range(int(count)):
    verifier.verify(key)
took = {"wall": time.perf_counter() - start, "cpu": time.process_time() - computing}
print(json.dumps({name: seconds / int(count) for name, seconds in took.items()}))
