"""Nothing but hashes, on all cores.

usage: hashes.py COUNT
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from argon2.low_level import Type, hash_secret


def one(number: int) -> bytes:
    return hash_secret(b"a key %d" % number, b"sixteen bytes ..", 2, 19456, 1, 32, Type.ID)


with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(one, range(int(sys.argv[1]))))
