"""Requests to the REST API with unknown parameters or wrong values: refused in plain words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from node.domain.job import JobState
from node.domain.result_objects import NOTICE
from node.settings import Settings
from node.store import Store
from node.web.api.invalid_requests import query_parameters
from node.web.app import create_app
from tests.support.dicom.body import grid
from tests.support.dicom.builders import MADE_AT, ct_series
from tests.support.factories import sqlite_url
from tests.support.servers.served_node import ServedNode, served_node

JOB_STATES = "queued, running, delivering, delivered, refused, superseded, parked or discarded"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node"), "") as served:
        yield served


def api_routes(folder: Path) -> Iterator[tuple[str, APIRoute, list[str]]]:
    """Yields the routes of the REST API by method, each with its parameters in the description."""
    store = Store.open(sqlite_url(folder), folder)
    app = create_app(Settings(data_dir=folder), store)
    store.close()
    paths: dict[str, Any] = app.openapi()["paths"]
    for context in iter_route_contexts(app.routes):
        route = context.route
        if isinstance(route, APIRoute) and route.path.startswith("/api/"):
            for method in route.methods or ():
                described = paths[route.path_format][method.lower()].get("parameters", [])
                yield method, route, [each["name"] for each in described if each["in"] == "query"]


def test_each_route_knows_the_parameters_of_its_description(tmp_path: Path) -> None:
    known, described = {}, {}
    for method, route, names in api_routes(tmp_path):
        known[method, route.path], described[method, route.path] = query_parameters(route), names
    assert known == described
    assert len(known) > 40


def test_an_unknown_parameter_is_refused_at_every_address(node: ServedNode, tmp_path: Path) -> None:
    answered = {}
    for method, route, names in api_routes(tmp_path):
        path = route.path_format.replace("{number}", "1").replace("{table}", "peers")
        answer = httpx.request(method, f"{node.url}{path}", params={"stat": "x"})
        there_are = ", ".join(names) or "none"
        said = answer.json()["message"]
        is_right = "query.stat: there is no such parameter" in said and there_are in said
        answered[method, path] = answer.status_code if is_right else said
    assert set(answered.values()) == {422}, answered
    assert len(answered) > 40


def test_a_similar_parameter_is_named(node: ServedNode) -> None:
    said = httpx.get(f"{node.url}/api/queues/deliveries", params={"dest": "x", "stat": "x"}).json()
    assert said == {
        "error": "invalid-request",
        "message": "query.dest: there is no such parameter; this address has destination, state, "
        "limit; query.stat: there is no such parameter (did you mean 'state'?); this address has "
        "destination, state, limit",
    }


WRONG_PARAMETERS = {
    "/api/jobs?state=x": f"query.state.0: must be {JOB_STATES}",
    "/api/jobs?state=parked&state=x": f"query.state.1: must be {JOB_STATES}",
    "/api/jobs?limit=0": "query.limit: must be at least 1",
    "/api/jobs?limit=1001": "query.limit: must be at most 1000",
    "/api/jobs?limit=all": "query.limit: must be a whole number",
    "/api/series?state=x": "query.state.0: must be receiving, working, delivered, refused, "
    "ignored, discarded, superseded or attention",
    "/api/queues/deliveries?state=x": "query.state: must be waiting or parked",
    "/api/audit/export?format=x": "query.format: must be json or dicom",
    "/api/configuration/revisions?below=0": "query.below: must be at least 1",
    "/api/configuration/revisions?below=2147483648": "query.below: must be below 2147483648",
    "/api/retrievals/x": "path.number: must be a whole number",
}


@pytest.mark.parametrize(("address", "message"), WRONG_PARAMETERS.items())
def test_a_wrong_parameter_is_refused_with_what_is_possible(
    node: ServedNode, address: str, message: str
) -> None:
    answer = httpx.get(f"{node.url}{address}")
    assert (answer.status_code, answer.json()["message"]) == (422, message)


WRONG_BODIES = {
    b'{"reason": 1}': "body.reason: must be a text",
    b"{}": "body.reason: is missing",
    b'{"reason": "a", "why": "b"}': "body.why: there is no such field",
    b'["a"]': "body: must be an object in braces",
    b'{"reason": ': "body: is no valid JSON from character 11",
    b"": "body: is missing",
    b'{"reason": "%s"}' % (b"x" * 501): "body.reason: must have at most 500 characters",
}


@pytest.mark.parametrize(("body", "message"), WRONG_BODIES.items())
def test_a_wrong_body_is_refused_in_plain_words(
    node: ServedNode, body: bytes, message: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{node.url}/api/jobs/x/discard", content=body, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (422, message)


WRONG_SELECTIONS: dict[str, tuple[dict[str, object], str]] = {
    "neither": ({}, "body: give one of: deliveries, job_ids, all"),
    "a state": ({"all": True, "states": ["x"]}, "body.states.0: must be waiting or parked"),
    "no list": ({"job_ids": "x"}, "body.job_ids: must be a list"),
    "a NUL": ({"job_ids": ["a\0"]}, "body.job_ids.0: must have no control characters"),
    "empty": ({"job_ids": [""]}, "body.job_ids.0: must have at least 1 characters"),
    "too many": ({"job_ids": ["a"] * 1001}, "body.job_ids: must have at most 1000 entries"),
    "a number": ({"all": 7}, "body.all: must be true or false"),
}


@pytest.mark.parametrize(("body", "message"), WRONG_SELECTIONS.values(), ids=WRONG_SELECTIONS)
def test_a_wrong_selection_is_refused_in_plain_words(
    node: ServedNode, body: dict[str, object], message: str
) -> None:
    answer = httpx.post(f"{node.url}/api/queues/deliveries/retry", json=body)
    assert (answer.status_code, answer.json()["message"]) == (422, message)


def test_what_the_framework_refuses_is_said_in_plain_words(node: ServedNode) -> None:
    wrong_method = httpx.put(f"{node.url}/api/jobs")
    assert wrong_method.status_code == 405
    assert wrong_method.json()["message"] == "this address does not take PUT, but GET"
    headers = {"Content-Type": "application/json"}
    url = f"{node.url}/api/jobs/x/discard"
    not_utf8 = httpx.post(url, content=b'{"reason": "\xff"}', headers=headers)
    assert not_utf8.status_code == 400
    assert not_utf8.json()["message"] == "the body cannot be read: send JSON in UTF-8"


def test_jobs_are_listed_in_the_states_that_people_see(node: ServedNode, tmp_path: Path) -> None:
    few = ct_series(geometry=grid(slices=3, rows=8, columns=8))
    job = node.add_job(node.receive(few, tmp_path / "ct"))
    notice = node.settings.data_dir / "results" / "a" / f"{NOTICE.name}.dcm"
    node.store.change_job(job.job_id, JobState.RUNNING, MADE_AT)
    node.store.change_job(job.job_id, JobState.DELIVERING, MADE_AT, result_path=notice)

    def found(*states: str) -> list[str]:
        listed = httpx.get(f"{node.url}/api/jobs", params={"state": states}).json()
        return [each["state"] for each in listed]

    assert found("refused") == found("queued", "refused") == found() == ["refused"]
    assert found("delivering") == found("queued", "running") == []
