"""What changed with each revision of the observations, and up to where a monitor has looked at it."""

import sqlalchemy as sql
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the index; the first round of a monitor looks at everything."""
    never_seen = sql.text("answers IS NOT NULL AND scored IS NULL")
    op.create_index(
        "forecasts_not_looked_at",
        "forecasts",
        ["model", "origin"],
        sqlite_where=never_seen,
        postgresql_where=never_seen,
    )
    op.create_table(
        "observation_changes",
        sql.Column("model", sql.Text, nullable=False),
        sql.Column("revision", sql.BigInteger, nullable=False),
        sql.Column("created_at", sql.BigInteger, nullable=False, index=True),
        sql.Column("spans", sql.LargeBinary, nullable=False),
        sql.PrimaryKeyConstraint("model", "revision"),
    )
    op.create_table(
        "monitor_marks",
        sql.Column("model", sql.Text, primary_key=True),
        sql.Column("revision", sql.BigInteger, nullable=False),
        sql.Column("targets", sql.Text, nullable=False),
        sql.Column("since", sql.BigInteger, nullable=False),
        sql.Column("reach_s", sql.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("monitor_marks")
    op.drop_table("observation_changes")
    op.drop_index("forecasts_not_looked_at", "forecasts")
