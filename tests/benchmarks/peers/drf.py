"""djangorestframework-api-key's `is_valid`, in a process of its own.

usage: drf.py make DATABASE COUNT       prints a key
       drf.py verify DATABASE CALLS < KEY
"""

import json
import sys
import time

import django
from django.conf import settings

command, database, count = sys.argv[1:]
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "rest_framework_api_key"],
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402 - Django must be set up first
from rest_framework_api_key.models import APIKey  # noqa: E402

if command == "make":
    call_command("migrate", verbosity=0)
    keys = []
    for i in range(int(count)):
        key = APIKey(name=f"key {i}")
        text = APIKey.objects.assign_key(key)
        keys.append(key)
    APIKey.objects.bulk_create(keys)
    print(text)
else:
    key = sys.stdin.read().strip()
    assert APIKey.objects.is_valid(key)
    start, computing = time.perf_counter(), time.process_time()
    for _ in range(int(count)):
        APIKey.objects.is_valid(key)
    took = {"wall": time.perf_counter() - start, "cpu": time.process_time() - computing}
    print(json.dumps({name: seconds / int(count) for name, seconds in took.items()}))
