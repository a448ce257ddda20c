"""The least that mints one key with the same libraries: import them, one hash, two small transactions.

usage: mint.py DATABASE
"""

import sqlite3
import sys

import sqlalchemy as sa
import typer  # noqa: F401 - what an import costs is part of the floor
from argon2.low_level import Type, hash_secret


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.executescript("pragma journal_mode = delete; pragma synchronous = full;")
    return connection


keys = sa.Table("keys", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("phc", sa.Text))
engine = sa.create_engine("sqlite://", creator=connect)
with engine.connect() as connection:
    connection.exec_driver_sql("create table if not exists keys (id integer primary key, phc text)")
    phc = hash_secret(b"a key of some length", b"sixteen bytes ..", 2, 19456, 1, 32, Type.ID).decode()
    for values in ({"phc": phc}, {"phc": None}):
        connection.exec_driver_sql("begin immediate")
        connection.execute(sa.insert(keys), values)
        connection.exec_driver_sql("commit")
print("a key of some length")
