"""Writes real rows of other programs, made by these programs: keys, and what they store of them. Run as a script.

Each line is a JSON object: `program`, `key`, `prefix` and `hash`, and what else the program stores.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import Any

import argon2
import bcrypt
import django
from django.conf import settings

PEPPER = "the pepper of another program"


def write(program: str, **row: Any) -> None:
    print(json.dumps({"program": program, **row}, default=str))  # noqa: T201 - what the test reads


def rest_framework_api_key() -> None:
    """Write keys of djangorestframework-api-key: a new one, and some with hashes of Django's password hashers."""
    settings.configure(
        INSTALLED_APPS=["rest_framework", "rest_framework_api_key"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
    )
    django.setup()
    from django.contrib.auth import hashers
    from django.core.management import call_command
    from rest_framework_api_key.models import APIKey

    call_command("migrate", verbosity=0)
    for revoked in (False, True):
        _, key = APIKey.objects.create_key(name="a client", revoked=revoked)
        row = APIKey.objects.get(prefix=key.partition(".")[0])
        expiry = row.expiry_date and row.expiry_date.isoformat()
        state = {"created_at": row.created.isoformat(), "expires_at": expiry, "revoked": row.revoked, "name": row.name}
        write("drf", key=key, prefix=row.prefix, hash=row.hashed_key, **state)

    class Bcrypt(hashers.BCryptSHA256PasswordHasher):
        rounds = 4

    class PlainBcrypt(hashers.BCryptPasswordHasher):
        rounds = 4

    class Argon2(hashers.Argon2PasswordHasher):
        time_cost, memory_cost, parallelism = 1, 8, 1

    class Scrypt(hashers.ScryptPasswordHasher):
        work_factor, block_size, parallelism = 16, 8, 1

    # As versions before 2.3 of the package made them: of the whole key.
    for hasher, how in (
        (hashers.PBKDF2PasswordHasher(), {"iterations": 3}),
        (hashers.PBKDF2SHA1PasswordHasher(), {"iterations": 3}),
        (Bcrypt(), {}),
        (PlainBcrypt(), {}),
        (Argon2(), {}),
        (Scrypt(), {}),
    ):
        key, prefix, _ = APIKey.objects.key_generator.generate()
        write(f"django {hasher.algorithm}", key=key, prefix=prefix, hash=hasher.encode(key, hasher.salt(), **how))


async def keyshield() -> None:
    """Write keys of keyshield, with each of its hashers."""
    from keyshield.hasher.argon2 import Argon2ApiKeyHasher
    from keyshield.hasher.bcrypt import BcryptApiKeyHasher
    from keyshield.repositories.in_memory import InMemoryApiKeyRepository
    from keyshield.services.base import ApiKeyService

    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    for name, hasher in (
        ("keyshield-argon2", Argon2ApiKeyHasher(PEPPER, cheap)),
        ("keyshield-bcrypt", BcryptApiKeyHasher(PEPPER, rounds=4)),
    ):
        service = ApiKeyService(repo=InMemoryApiKeyRepository(), hasher=hasher)
        entity, key = await service.create(name="a service", scopes=["read"])
        row = {"name": entity.name, "scopes": entity.scopes, "created_at": entity.created_at.isoformat()}
        write(name, key=key, prefix=f"{service.global_prefix}-{entity.key_id}", hash=entity.key_hash, **row)


def plain_bcrypt() -> None:
    key = "sk_live_3fA9" + "x" * 32
    write("bcrypt", key=key, prefix=key[:12], hash=bcrypt.hashpw(key.encode(), bcrypt.gensalt(4)).decode())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    rest_framework_api_key()
    asyncio.run(keyshield())
    plain_bcrypt()
