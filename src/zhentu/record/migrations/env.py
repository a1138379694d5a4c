"""What Alembic runs: the migrations, on the connection it was given. Loaded by Alembic alone, never imported."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=False,  # migrate.py wraps all of them in one transaction and the lock
)
context.run_migrations()
