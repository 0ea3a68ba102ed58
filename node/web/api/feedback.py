"""REST route of the segmentations that people stored."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from node.web.api.serialization import Limit
from node.web.dependencies import SiteStore

ROUTER = APIRouter(prefix="/api/feedback")


@ROUTER.get("")
def list_feedback(store: SiteStore, limit: Limit = 100) -> list[dict[str, Any]]:
    """Returns the latest segmentations with their comparison, newest first."""
    return [asdict(each) for each in store.feedback(limit=limit)]
