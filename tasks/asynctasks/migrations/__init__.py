"""Alembic migrations of the task database, one set for PostgreSQL and SQLite."""
