"""The table of refused images."""

from sqlalchemy import Column, String, Table, Text

from node.store.database import UtcDateTime
from node.store.schema import METADATA

_UID = String(64)

# An empty SOP Instance UID stands for images that nobody could count.
REFUSED_IMAGES = Table(
    "refused_images",
    METADATA,
    Column("series_instance_uid", _UID, primary_key=True),
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("refused_at", UtcDateTime, nullable=False, index=True),
)
