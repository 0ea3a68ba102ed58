"""The tables of users and sessions; migrations create them, as those of `node.store.schema`."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from node.store.database import UtcDateTime
from node.store.schema import METADATA

_NAME = String(64)
# SHA-256 in hexadecimal: identifiers and codes themselves are stored nowhere.
_DIGEST = String(64)

USERS = Table(
    "users",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("password_hash", String(200)),
    Column("totp_secret", String(64)),
    Column("totp_is_confirmed", Boolean, nullable=False),
    Column("totp_last_step", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_login_at", UtcDateTime),
)

RECOVERY_CODES = Table(
    "recovery_codes",
    METADATA,
    Column("user_name", _NAME, ForeignKey("users.name"), primary_key=True),
    Column("code_digest", _DIGEST, primary_key=True),
)

# `user_name` is no foreign key: a session may belong to a user whom another system knows.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id_digest", _DIGEST, primary_key=True),
    Column("user_name", _NAME, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
    Column("client_address", String(64), nullable=False),
    Index(None, "user_name"),
    Index(None, "created_at"),
)

# Who a user is at the identity provider. Issuer and subject are as it writes them.
EXTERNAL_IDENTITIES = Table(
    "external_identities",
    METADATA,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_name", _NAME, ForeignKey("users.name"), nullable=False, unique=True),
)

LOGIN_FAILURES = Table(
    "login_failures",
    METADATA,
    Column("subject", String(80), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Index(None, "last_at"),
)

ONE_TIME_CODES = Table(
    "one_time_codes",
    METADATA,
    Column("code_digest", _DIGEST, primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("user_name", _NAME),
    Column("expires_at", UtcDateTime),
)

API_TOKENS = Table(
    "api_tokens",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("token_digest", _DIGEST, nullable=False, unique=True),
    Column("permissions", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("last_used_from", String(64)),
)
