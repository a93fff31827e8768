"""How often the observations of a model changed, so that whoever keeps them in memory sees when to read again."""

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; a model without a row has not changed since."""
    op.create_table(
        "observation_revisions",
        sql.Column("model", sql.Text, primary_key=True),
        sql.Column("revision", sql.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("observation_revisions")
