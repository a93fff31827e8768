"""What Alembic runs: the connection, and with it the transaction and the lock, is that of the caller."""

from alembic import context

from forecasting.store.tables import METADATA

VERSION_TABLE = "almanac_store_version"
"""Not Alembic's own name, which MLflow uses in a database that both may share."""


def run() -> None:
    """Migrate as the caller said."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        render_as_batch=True,
    )
    context.run_migrations()


run()
