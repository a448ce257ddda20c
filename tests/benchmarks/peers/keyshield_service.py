"""keyshield's service, in a process of its own. COST is `default`, or `same` for keyctl's Argon2 parameters.

usage: keyshield_service.py make DATABASE COST COUNT       prints a key
       keyshield_service.py verify DATABASE COST CALLS default|none cached|plain < KEY
"""

import asyncio
import json
import secrets
import sys
import time

import sqlalchemy
from aiocache import SimpleMemoryCache
from argon2 import PasswordHasher
from keyshield import ApiKeyService
from keyshield.hasher.argon2 import Argon2ApiKeyHasher
from keyshield.repositories.sql import SqlAlchemyApiKeyRepository
from keyshield.services.cached import CachedApiKeyService
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

command, database, cost, count, *how = sys.argv[1:]
engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
sessions = async_sessionmaker(engine, expire_on_commit=False)
same = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
hasher = Argon2ApiKeyHasher(pepper="a pepper", password_hasher=same if cost == "same" else None)


async def make() -> None:
    """Make one key, and rows that differ from its own in what must be unique."""
    async with sessions() as session, session.begin():
        repository = SqlAlchemyApiKeyRepository(session)
        await repository.ensure_table(engine)
        _, key = await ApiKeyService(repository, hasher).create(name="the one", scopes=["read"])
        every = sqlalchemy.text("select * from api_keys")
        row = dict((await session.execute(every)).mappings().one())
        rows = []
        for i in range(1, int(count)):
            unique = {"id": secrets.token_hex(16), "key_id": secrets.token_hex(8)}
            unique["key_hash"] = row["key_hash"][:-16] + secrets.token_hex(8)
            rows.append(row | unique | {"name": f"key {i}"})
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        await session.execute(sqlalchemy.text(f"insert into api_keys ({names}) values ({values})"), rows)
    print(key)


async def verify() -> None:
    """Verify as its documentation shows it: a session, and a transaction, for each request."""
    delay, cached = how
    options = {} if delay == "default" else {"min_delay": 0, "max_delay": 0}
    key = sys.stdin.read().strip()
    kind = ApiKeyService
    if cached == "cached":
        kind = CachedApiKeyService
        options["cache"] = SimpleMemoryCache()  # one for all requests

    async def once() -> None:
        async with sessions() as session, session.begin():
            await kind(SqlAlchemyApiKeyRepository(session), hasher, **options).verify_key(key)

    await once()
    start, computing = time.perf_counter(), time.process_time()
    for _ in range(int(count)):
        await once()
    took = {"wall": time.perf_counter() - start, "cpu": time.process_time() - computing}
    print(json.dumps({name: seconds / int(count) for name, seconds in took.items()}))


asyncio.run(make() if command == "make" else verify())
