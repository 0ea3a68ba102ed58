"""The OpenAPI document: requests made from it, valid and invalid, never end in a server error."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from node.domain.job import JobState
from tests.support.dicom.builders import MADE_AT
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.served_node import ServedNode, running_worker, served_node

_TIMEOUT_S = 20.0
_FEW_EXAMPLES = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
_CONFIGURATION = """
[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["archive"]
when = { attribute = "Modality", equals = "CT" }
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """A node with one series and a parked job; without its worker, health would be 503."""
    folder = tmp_path_factory.mktemp("node")
    with served_node(folder, _CONFIGURATION) as served:
        series = served.receive(small_ct(), folder / "ct")
        job = served.add_job(series)
        served.store.change_job(job.job_id, JobState.PARKED, MADE_AT + timedelta(1), reason="x")
        with running_worker(served):
            yield served


def test_no_request_ends_in_a_server_error(node: ServedNode) -> None:
    schema = schemathesis.openapi.from_url(f"{node.url}/api/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        request_by_examples(found.ok())


def request_by_examples(operation: APIOperation[Any, Any, Any, Any]) -> None:
    """Sends some requests that fit the operation's description and some that do not."""
    strategies = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @_FEW_EXAMPLES
    @given(case=one_of(strategies))
    def send(case: Case[Any]) -> None:
        response = case.call(timeout=_TIMEOUT_S)
        assert response.status_code < 500, f"{case.as_curl_command()}: {response.text}"

    send()
