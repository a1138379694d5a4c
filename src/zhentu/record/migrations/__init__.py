"""Alembic migrations of the store, shipped with the package; `zhentu store migrate` runs them.

Adding tables
-------------
1. Declare them with `Table(..., zhentu.record.schema.metadata, ...)` in your own package.
2. Add one file here: `versions/mNNNN_<topic>.py` with `revision = "NNNN_<topic>"`. Number ranges keep branches apart:
   0001-0099 record and gate, 0100-0199 labels (mark), 0200-0299 backlog, 0300-0399 banks and review.
3. `down_revision` is the newest revision of your own range, or "0002_gate" for the first one. Several heads are fine:
   the store is always brought to all of them.
4. Write plain `op.create_table(...)`, never `metadata.create_all`: a migration says what was true on its day. It must
   run on SQLite and PostgreSQL. `tests/record/test_migrations.py` compares what it makes with the declared tables.

There are no downgrades: records are append-only, and a backup is the way back.
"""
