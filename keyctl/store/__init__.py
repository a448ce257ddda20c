"""The database, through SQLAlchemy Core: SQLite. Nothing outside this folder knows SQLAlchemy."""
