"""The database, through SQLAlchemy Core: SQLite or PostgreSQL. Nothing outside this folder knows SQLAlchemy."""
