"""Users, their sessions, failed logins and one-time codes."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables; there are no users yet."""
    time, name, digest = sa.DateTime(timezone=True), sa.String(length=64), sa.String(length=64)
    op.create_table(
        "users",
        sa.Column("name", name, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("totp_secret", sa.String(length=64), nullable=True),
        sa.Column("totp_is_confirmed", sa.Boolean(), nullable=False),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("last_login_at", time, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_name", name, nullable=False),
        sa.Column("code_digest", digest, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name=op.f("fk_recovery_codes_user_name_users")
        ),
        sa.PrimaryKeyConstraint("user_name", "code_digest", name=op.f("pk_recovery_codes")),
    )
    op.create_table(
        "sessions",
        sa.Column("id_digest", digest, nullable=False),
        sa.Column("user_name", name, nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("last_used_at", time, nullable=False),
        sa.Column("client_address", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id_digest", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_name"), "sessions", ["user_name"])
    op.create_index(op.f("ix_sessions_created_at"), "sessions", ["created_at"])
    op.create_table(
        "login_failures",
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", time, nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_failures")),
    )
    op.create_index(op.f("ix_login_failures_last_at"), "login_failures", ["last_at"])
    op.create_table(
        "one_time_codes",
        sa.Column("code_digest", digest, nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("user_name", name, nullable=True),
        sa.Column("expires_at", time, nullable=True),
        sa.PrimaryKeyConstraint("code_digest", name=op.f("pk_one_time_codes")),
    )
