"""What the answers of one server may cost: too much is a failure, never memory or a hang."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from node.delivery.destination import ResultFile
from node.delivery.dicomweb import DicomWeb
from node.delivery.his.acknowledgement import check_acknowledgement
from node.delivery.his.fhir import Fhir
from node.dicom.query import QueryLevel
from node.domain.connections.failure import ConnectionFailure
from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.http import limited_answers
from node.http.limited_answers import AnswerExceedsLimit, json_content, parsed_json, request
from node.intake.part10 import part10_bytes
from node.intake.qido_search import searching
from node.intake.wado_retrieval import DicomWebSource
from node.probes.http import HttpService, read_capabilities
from node.settings import FhirDestination
from node.worklists.ups_client import UpsServer
from tests.support.factories import received
from tests.support.reports import REPORT
from tests.support.servers.answering_server import AnsweringServer

pytestmark = pytest.mark.timeout(120)
MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with AnsweringServer() as answering:
        yield answering


def search(url: str) -> object:
    with searching(DicomWebSource("x", url)) as find:
        return find(QueryLevel.STUDY, {"PatientID": "1"}, 10)


def search_work_items(url: str) -> object:
    return UpsServer(url).search({}, ())


def send_report(url: str) -> object:
    return Fhir("ehr", FhirDestination(kind="fhir", url=url)).deliver_report(REPORT)


def probe(url: str) -> object:
    read_capabilities(HttpService(url))
    return None


@pytest.fixture
def store(tmp_path: Path) -> Callable[[str], object]:
    """Sends an instance by STOW-RS."""
    file = tmp_path / "result.dcm"
    file.write_bytes(part10_bytes(received()))
    result = ResultFile(file, Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))
    return lambda url: DicomWeb("pacs", url).deliver([result])


CLIENTS = [search, search_work_items, send_report, probe]


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("depth", [500, 200_000])
def test_json_that_is_nested_without_end_is_no_answer(
    server: AnsweringServer, ask: Callable[[str], object], depth: int
) -> None:
    server.body = b'[{"a":' * depth + b"1" + b"}]" * depth
    with pytest.raises((Transient, ConnectionFailure)):
        ask(server.url)


def test_of_a_destination_whose_answer_is_nested_without_end_the_status_counts(
    server: AnsweringServer, store: Callable[[str], object]
) -> None:
    server.body = b"[" * 200_000
    assert store(server.url)
    server.status = 500
    with pytest.raises(Transient, match="answered 500"):
        store(server.url)


@pytest.mark.parametrize("ask", CLIENTS)
def test_an_answer_that_inflates_without_end_is_read_to_the_limit(
    server: AnsweringServer, ask: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_answers, "MAX_ANSWER_BYTES", MIB)
    server.encoding, server.body = "gzip", gzip.compress(b" " * 64 * MIB)
    assert len(server.body) < MIB // 8
    with pytest.raises((Transient, ConnectionFailure)):
        ask(server.url)


@pytest.mark.parametrize("status", [200, 302, 500])
def test_the_limit_holds_for_every_status(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(limited_answers, "MAX_ANSWER_BYTES", MIB)
    server.status, server.body, server.location = status, b"x" * (2 * MIB), "/elsewhere"
    with pytest.raises(AnswerExceedsLimit, match="over 1 MiB"):
        request("GET", server.url, timeout=30)


def test_an_answer_that_takes_too_long_is_ended(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_answers, "MAX_ANSWER_SECONDS", 0.0)
    server.body = b"x" * MIB
    with pytest.raises(AnswerExceedsLimit, match="takes over"):
        request("GET", server.url, timeout=30)


def test_an_answer_within_the_limits_is_that_of_requests(server: AnsweringServer) -> None:
    server.body = b'{"a": [1, "\xc3\xa4"]}'
    plain = request("GET", server.url, timeout=30)
    server.encoding, server.body = "gzip", gzip.compress(server.body)
    for answer in (plain, request("GET", server.url, timeout=30)):
        expected = requests.get(server.url, timeout=30)
        assert (answer.content, answer.text) == (expected.content, expected.text)
        assert json_content(answer) == answer.json() == {"a": [1, "ä"]}


def test_a_damaged_or_truncated_answer_is_an_error_of_requests(server: AnsweringServer) -> None:
    server.encoding, server.body = "gzip", b"not gzip"
    with pytest.raises(requests.RequestException):
        request("GET", server.url, timeout=30)
    server.encoding, server.body = "", b"[1"
    assert json_content(request("GET", server.url, timeout=30)) is None


@pytest.mark.parametrize("depth", [limited_answers.MAX_JSON_NESTING, 101, 10_000])
def test_json_is_parsed_to_its_limit(depth: int) -> None:
    text = "[" * depth + "]" * depth
    if depth <= limited_answers.MAX_JSON_NESTING:
        assert parsed_json(text) is not None
    else:
        with pytest.raises(ValueError, match="too deeply"):
            parsed_json(text)


@pytest.mark.parametrize("filling", ["^", "~", "&", "|", "\rERR|" + "~" * 200, "\\F\\", "x"])
def test_an_acknowledgement_of_a_mebibyte_is_read(filling: str) -> None:
    # The parser takes a millisecond for each component: minutes, without a limit.
    head = "MSH|^~\\&|HIS|A|SEGNODE|B|20260504||ACK^R01^ACK|1|P|2.5.1\rMSA|AE|control-1|no space "
    answer = head + filling * (MIB // len(filling))
    with pytest.raises(Transient, match="reports an error") as failure:
        check_acknowledgement(answer, "control-1", "his:2575", REPORT)
    assert len(str(failure.value)) < 1000
