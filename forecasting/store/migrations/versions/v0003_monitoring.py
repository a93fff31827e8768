"""What forecasts were scored with, the sums of it, and who monitors a model."""

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column and the tables; nothing is scored yet."""
    op.add_column("forecasts", sql.Column("scored", sql.LargeBinary))
    op.create_table(
        "monitor_sums",
        sql.Column("model", sql.Text, nullable=False),
        sql.Column("version", sql.BigInteger, nullable=False),
        sql.Column("role", sql.Text, nullable=False),
        sql.Column("horizon", sql.Text, nullable=False),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("part", sql.Text, nullable=False),
        sql.Column("total", sql.Double, nullable=False),
        sql.Column("peak", sql.Double, nullable=False),
        sql.Column("updated_at", sql.BigInteger, nullable=False),
        sql.PrimaryKeyConstraint("model", "version", "role", "horizon", "name", "part"),
    )
    op.create_table(
        "monitor_leases",
        sql.Column("model", sql.Text, primary_key=True),
        sql.Column("owner", sql.Text, nullable=False),
        sql.Column("lease_until", sql.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("monitor_leases")
    op.drop_table("monitor_sums")
    op.drop_column("forecasts", "scored")
