"""Alembic's entry: runs the migrations on the connection that `dicomnode.journal.migrate` gives."""

from __future__ import annotations

from alembic import context

# One transaction for all, begun and committed by who gave the connection; SQLite can do that
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
