"""REST routes of series: list, explain, start."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from node.routing.rule_matching import Decision, explain
from node.web.api.serialization import Limit, series_to_json
from node.web.dependencies import Now, SiteStore
from node.web.operations import request_start, require_series

ROUTER = APIRouter(prefix="/api/series")


@ROUTER.get("")
def list_series(store: SiteStore, limit: Limit = 100) -> list[dict[str, Any]]:
    """Returns the series with the latest activity, newest first, and the outcome of each."""
    return [series_to_json(found) for found in store.series_with_outcome(limit)]


@ROUTER.get("/{series_uid}/explain")
def explain_series(series_uid: str, store: SiteStore) -> dict[str, Any]:
    """Returns which rules matched, condition by condition; `decided` is false before that."""
    series = require_series(store, series_uid)
    stored_decision = store.decision_of(series_uid)
    if stored_decision is None:
        text = "The series is not decided yet: it may still be arriving."
        return {"series_instance_uid": series.series_instance_uid, "decided": False, "text": text}
    decision = Decision.from_json(stored_decision)
    return {
        "series_instance_uid": series.series_instance_uid,
        "decided": True,
        "rules": list(decision.rules),
        "text": explain(decision),
        "decision": asdict(decision),
    }


@ROUTER.post("/{series_uid}/start", status_code=HTTPStatus.ACCEPTED)
def start(series_uid: str, store: SiteStore, now: Now) -> dict[str, str]:
    """Requests the decision on the series now, without its quiet time."""
    request_start(store, series_uid, now)
    return {"series_instance_uid": series_uid, "state": "start requested"}
