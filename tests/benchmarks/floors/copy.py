"""Reads every row of a database with SQLAlchemy Core, and writes it to another: the least that a copy takes."""

import sys
from pathlib import Path

from sqlalchemy import MetaData, create_engine, insert, select

source = create_engine(f"sqlite:///{sys.argv[1]}")
if "://" not in sys.argv[2]:
    Path(sys.argv[2]).unlink(missing_ok=True)
target = create_engine(sys.argv[2] if "://" in sys.argv[2] else f"sqlite:///{sys.argv[2]}")
metadata = MetaData()
metadata.reflect(source)
with source.connect() as reading, target.begin() as writing:
    metadata.drop_all(writing)
    metadata.create_all(writing)
    for table in metadata.sorted_tables:
        rows = reading.execution_options(yield_per=1000).execute(select(table)).mappings()
        for part in rows.partitions():
            writing.execute(insert(table), [dict(row) for row in part])
