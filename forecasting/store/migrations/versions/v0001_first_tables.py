"""The first tables."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_NUMBER = sql.BigInteger().with_variant(sql.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables."""
    _forecasts()
    _observations()
    _retrain_requests()


def downgrade() -> None:
    """Remove all tables, with what is in them."""
    for name in (
        "retrain_requests",
        "observation_posts",
        "superseded_observations",
        "observation_blocks",
        "observed_columns",
        "forecasts",
    ):
        op.drop_table(name)


def _forecasts() -> None:
    op.create_table(
        "forecasts",
        sql.Column("created_at", sql.BigInteger, nullable=False),
        sql.Column("request", sql.Text, nullable=False),
        sql.Column("role", sql.Text, nullable=False),
        sql.Column("series", sql.Text, nullable=False),
        sql.Column("model", sql.Text, nullable=False),
        sql.Column("version", sql.BigInteger, nullable=False),
        sql.Column("origin", sql.BigInteger, nullable=False),
        sql.Column("step_s", sql.BigInteger, nullable=False),
        sql.Column("n_steps", sql.Integer, nullable=False),
        sql.Column("levels", sql.LargeBinary, nullable=False),
        sql.Column("answers", sql.LargeBinary),
        sql.Column("flags", sql.SmallInteger, nullable=False),
        sql.Column("latency_us", sql.BigInteger),
        sql.Column("problem", sql.Text),
        sql.PrimaryKeyConstraint("created_at", "request", "role", "series"),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index("forecasts_of_series", "forecasts", ["model", "series", "origin"])
    op.create_index("forecasts_of_origin", "forecasts", ["model", "origin"])


def _observations() -> None:
    op.create_table(
        "observed_columns",
        sql.Column("key", _ROW_NUMBER, primary_key=True),
        sql.Column("model", sql.Text, nullable=False),
        sql.Column("series", sql.Text, nullable=False),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("step_s", sql.BigInteger, nullable=False),
        sql.Column("phase_s", sql.BigInteger, nullable=False),
        sql.UniqueConstraint("model", "step_s", "phase_s", "series", "name"),
    )
    op.create_table(
        "observation_blocks",
        sql.Column("block_start", sql.BigInteger, nullable=False),
        sql.Column("key", sql.BigInteger, nullable=False),
        sql.Column("numbers", sql.LargeBinary, nullable=False),
        sql.Column("known_at", sql.LargeBinary, nullable=False),
        sql.PrimaryKeyConstraint("key", "block_start"),
        postgresql_partition_by="RANGE (block_start)",
    )
    op.create_table(
        "superseded_observations",
        sql.Column("key", sql.BigInteger, nullable=False),
        sql.Column("time", sql.BigInteger, nullable=False),
        sql.Column("known_at", sql.BigInteger, nullable=False),
        sql.Column("number", sql.Double),
        sql.PrimaryKeyConstraint("key", "time", "known_at"),
    )
    op.create_table(
        "observation_posts",
        sql.Column("idempotency_key", sql.Text, primary_key=True),
        sql.Column("digest", sql.Text, nullable=False),
        sql.Column("created_at", sql.BigInteger, nullable=False),
        sql.Column("n_written", sql.BigInteger, nullable=False),
    )
    op.create_index("ix_observation_posts_created_at", "observation_posts", ["created_at"])


def _retrain_requests() -> None:
    op.create_table(
        "retrain_requests",
        sql.Column("id", _ROW_NUMBER, primary_key=True),
        sql.Column("created_at", sql.BigInteger, nullable=False),
        sql.Column("model", sql.Text, nullable=False),
        sql.Column("reason", sql.Text, nullable=False),
        sql.Column("source", sql.Text, nullable=False),
        sql.Column("dedup_key", sql.Text, nullable=False),
        sql.Column("state", sql.Text, nullable=False),
        sql.Column("lease_owner", sql.Text),
        sql.Column("lease_until", sql.BigInteger),
        sql.Column("attempts", sql.Integer, nullable=False),
        sql.Column("run", sql.Text),
        sql.Column("finished_at", sql.BigInteger),
        sql.Column("detail", sql.Text),
    )
    is_open = sql.text("state IN ('waiting', 'claimed')")
    op.create_index(
        "retrain_requests_open",
        "retrain_requests",
        ["model", "dedup_key"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
