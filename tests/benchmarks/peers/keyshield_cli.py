"""keyshield's own commands, over a SQLite file.

usage: DATABASE=… DELAY=default|none keyshield_cli.py create|list|verify …
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keyshield import ApiKeyService
from keyshield.cli import create_api_keys_cli
from keyshield.hasher.argon2 import Argon2ApiKeyHasher
from keyshield.repositories.sql import SqlAlchemyApiKeyRepository
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

sessions = async_sessionmaker(create_async_engine(f"sqlite+aiosqlite:///{os.environ['DATABASE']}"))
delays = {} if os.environ["DELAY"] == "default" else {"min_delay": 0, "max_delay": 0}


@asynccontextmanager
async def service() -> AsyncIterator[ApiKeyService]:
    async with sessions() as session, session.begin():
        yield ApiKeyService(SqlAlchemyApiKeyRepository(session), Argon2ApiKeyHasher(pepper="a pepper"), **delays)


create_api_keys_cli(service)()
