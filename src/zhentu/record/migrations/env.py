"""What Alembic runs: the migrations, on the connection it was given. Loaded by Alembic alone, never imported."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=False,  # migrate.py holds one transaction, and the lock, around all of them
)
context.run_migrations()
