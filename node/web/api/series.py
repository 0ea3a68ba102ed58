"""REST routes of series: search, explain, start, delete."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from node.domain.listing.listed_states import ListedState
from node.domain.queues.discarding import MAX_NAME, MAX_REASON
from node.routing.rule_matching import Decision, explain
from node.store.search.query import SeriesQuery
from node.web.acting_user import CurrentUser
from node.web.api.series_models import SeriesEntry, series_entry
from node.web.dependencies import Now, SiteSettings, SiteStore
from node.web.operations import delete_series, request_start, require_series, unknown_series
from node.web.search_parameters import SearchParameters

ROUTER = APIRouter(prefix="/api/series")
_PATH = "/api/series"


class ListParameters(SearchParameters):
    """The search, the states that count, and the length of a page."""

    state: list[ListedState] = Field(
        default_factory=list, description="States of which a series must have one."
    )
    limit: int = Field(100, ge=1, le=1000, description="Maximum number of entries.")


class DeletionRequest(BaseModel):
    """Why a series is deleted, and the name of who does it."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=MAX_REASON)
    by: str = Field("", max_length=MAX_NAME)


@ROUTER.get("")
def list_series(
    parameters: Annotated[ListParameters, Query()],
    settings: SiteSettings,
    store: SiteStore,
    response: Response,
) -> list[SeriesEntry]:
    """Searches for series; returns those received last first, with the outcome of each.

    The header Link has the addresses of the pages beside this one: `next` with older series, `prev`
    with newer ones.
    """
    page = store.search_series(
        parameters.query(settings).in_states(frozenset(parameters.state)),
        older_than=parameters.older_than,
        newer_than=parameters.newer_than,
        limit=parameters.limit,
    )
    beside = (("next", "older", page.older), ("prev", "newer", page.newer))
    empty = {"older": "", "newer": ""}
    links = [
        f'<{parameters.address(_PATH, **empty | {name: str(cursor)})}>; rel="{relation}"'
        for relation, name, cursor in beside
        if cursor is not None
    ]
    if links:
        response.headers["Link"] = ", ".join(links)
    rows = {row.series_instance_uid: row for row in page.rows}
    outcomes = store.outcomes_of(list(rows))
    return [series_entry(found, rows[found.series.series_instance_uid]) for found in outcomes]


@ROUTER.get("/{series_uid}")
def show_series(series_uid: str, settings: SiteSettings, store: SiteStore) -> SeriesEntry:
    """Returns a series with its jobs, as the search does."""
    require_series(store, series_uid)
    query = SeriesQuery(uid=series_uid, searches_patients=settings.web.search_patients)
    rows = store.search_series(query, limit=1000).rows
    found = next((row for row in rows if row.series_instance_uid == series_uid), None)
    if found is None:  # an earlier version stored it, and the index is not complete yet
        raise unknown_series(series_uid)
    (outcome,) = store.outcomes_of([series_uid])
    return series_entry(outcome, found)


@ROUTER.get("/{series_uid}/explain")
def explain_series(series_uid: str, store: SiteStore) -> dict[str, Any]:
    """Returns which rules matched, condition by condition; `decided` is false before that."""
    series = require_series(store, series_uid)
    stored_decision = store.decision_of(series_uid)
    if stored_decision is None:
        missing = store.incomplete_series([series_uid]).get(series.series_instance_uid)
        text = "The series is not decided yet: it may still be arriving."
        if missing is not None:
            text = f"The series is not decided yet. {missing.explanation}"
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


@ROUTER.post("/{series_uid}/delete")
def delete(
    series_uid: str, request: DeletionRequest, user: CurrentUser, store: SiteStore, now: Now
) -> dict[str, str]:
    """Deletes the images and results of a finished series; its row and its history stay.

    Copies in backups, destinations and other systems are not deleted.
    """
    actor = user.audit_actor(" ".join(request.by.split()))
    delete_series(store, series_uid, request.reason, actor, now)
    return {"deleted": series_uid}
