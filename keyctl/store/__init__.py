"""The database, SQLite or PostgreSQL, through SQLAlchemy Core. Nothing outside this folder imports SQLAlchemy."""
