"""HL7 and FHIR destinations against receivers that take, refuse, hang and break off."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from models.measurement import measure
from node.delivery.destination import Destination, ResultFile
from node.delivery.his.fhir import Fhir
from node.delivery.his.hl7 import Hl7
from node.delivery.his.report_file import delivery_id
from node.demo.free_ports import free_ports
from node.dicom.ct.reader import read_series
from node.dicom.report_content import report_of
from node.dicom.results.content import ResultContent
from node.domain.errors import Rejected, Transient
from node.domain.identifiers import Uid
from node.domain.report import Issuer, ReportIdentifier, ReportName
from node.domain.result_objects import ResultKind, ResultObject
from node.http.credentials import NO_CREDENTIALS, BearerToken
from node.settings import FhirDestination, Hl7Destination
from tests.support.certificates import Certificate
from tests.support.dicom.builders import MADE_AT, ThresholdSegmenter, ct_series
from tests.support.peers.mllp_receiver import Hl7Server, RawReceiver, acknowledgement
from tests.support.reports import REPORT, report_file, with_patient
from tests.support.servers.fhir_server import FhirServer, operation_outcome

# Long enough for a slow machine, where an answer comes.
_PATIENCE_S = 60.0
# Where none comes, the test waits this long.
_IMPATIENCE_S = 0.5
_CONTROL_ID = delivery_id(REPORT.job_id, "his")


def hl7(port: int, timeout_seconds: float = _PATIENCE_S, **changes: Any) -> Hl7:
    options = {"kind": "hl7", "host": "127.0.0.1", "port": port}
    return Hl7(
        "his",
        Hl7Destination.model_validate({**options, "timeout_seconds": timeout_seconds, **changes}),
    )


def fhir(url: str, token: str = "", timeout_seconds: float = _PATIENCE_S, **changes: Any) -> Fhir:
    options = {"kind": "fhir", "url": url, "timeout_seconds": timeout_seconds}
    credentials = BearerToken(lambda: token) if token else NO_CREDENTIALS
    return Fhir("ehr", FhirDestination.model_validate({**options, **changes}), credentials)


@pytest.fixture
def result(tmp_path: Path) -> ResultFile:
    """The report of a job, as a result on its way to a destination."""
    return ResultFile(report_file(tmp_path), Uid("1.2.3.4"), Uid("1.2.3.9"), Uid("1.2.3.9.1"))


def error_of(destination: Destination, result: ResultFile, family: type[Exception]) -> str:
    """Returns the message of the error; checks that it names no patient."""
    with pytest.raises(family) as caught:
        destination.deliver([result])
    message = str(caught.value)
    for personal in REPORT.personal_data():
        if len(personal) > 2:
            assert personal not in message
    return message


# --- HL7 ----------------------------------------------------------------------------------------


def test_a_message_arrives_whole_and_is_acknowledged(result: ResultFile) -> None:
    with Hl7Server() as server:
        receipt = hl7(server.port).deliver([result])

    assert receipt.destination == "his"
    assert receipt.detail == f"ORU^R01 {_CONTROL_ID} to 127.0.0.1:{server.port}: AA"
    (message,) = server.messages
    assert str(message["PID"][0][5][1]) == "山田^太郎^^^^^^I"
    assert str(message["MSH"][0][10]) == _CONTROL_ID


def test_a_repeated_message_is_recognisable(result: ResultFile) -> None:
    with Hl7Server() as server:
        for _ in range(2):
            hl7(server.port).deliver([result])
        other = replace(hl7(server.port), name="another")
        other.deliver([result])

    first, second, third = (str(message) for message in server.messages)
    assert first == second
    assert str(server.messages[2]["MSH"][0][10]) != _CONTROL_ID
    assert third != first


def test_an_error_of_the_receiver_is_retried_and_a_rejection_is_final(result: ResultFile) -> None:
    with Hl7Server("AE", text="interface stopped") as server:
        assert "interface stopped" in error_of(hl7(server.port), result, Transient)
    with Hl7Server("AR", text="patient PAT-4711 Müller-Yamada is unknown") as server:
        message = error_of(hl7(server.port), result, Rejected)
        assert "patient [removed] [removed] is unknown" in message


def test_an_unreachable_receiver_is_a_transient_error(result: ResultFile) -> None:
    assert "check host and port" in error_of(hl7(free_ports(1)[0]), result, Transient)
    unknown = hl7(2575, host="no-such-host.invalid")
    assert "check host and port" in error_of(unknown, result, Transient)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: b"", "closed the connection"),
        (lambda _: b"\x0bMSH|^~\\&|", "closed the connection"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "port is that of its MLLP interface"),
        (lambda _: b"\x0bhello\x1c\r", "something other than an acknowledgement"),
        (lambda _: b"\x0b\xff\xfe\x1c\r", "something other than an acknowledgement"),
        (lambda _: b"\x0b" + b"x" * (2 << 20), "something other than an HL7 message"),
        (lambda _: acknowledgement("AA", "other"), "another message"),
        (lambda _: acknowledgement("??", _CONTROL_ID), "a code that HL7 does not define"),
    ],
)
def test_a_broken_acknowledgement_is_a_transient_error(
    result: ResultFile, answer: Callable[[Any], bytes], message: str
) -> None:
    with RawReceiver(answer) as receiver:
        assert message in error_of(hl7(receiver.port), result, Transient)


def test_an_acknowledgement_in_pieces_is_complete(result: ResultFile) -> None:
    whole = acknowledgement("AA", _CONTROL_ID)
    with RawReceiver(lambda _: whole, piece_bytes=1) as receiver:
        assert hl7(receiver.port).deliver([result]).detail.endswith("AA")


def test_a_silent_receiver_is_a_transient_error(result: ResultFile) -> None:
    with RawReceiver(lambda _: None) as receiver:
        message = error_of(hl7(receiver.port, _IMPATIENCE_S), result, Transient)
    assert "did not acknowledge within 0.5 s" in message


def test_a_receiver_that_hangs_up_at_once_is_a_transient_error(result: ResultFile) -> None:
    with RawReceiver(lambda _: b"", read_first=False) as receiver:
        assert "closed the connection" in error_of(hl7(receiver.port), result, Transient)


def test_a_message_is_written_in_the_character_set_that_it_states(tmp_path: Path) -> None:
    alphabetic = replace(REPORT.patient.name.alphabetic, given="Jörg")
    western = with_patient(name=ReportName(alphabetic))
    result = ResultFile(report_file(tmp_path, western), Uid("1.2"), Uid("1.3"), Uid("1.4"))
    with Hl7Server(encoding="iso-8859-1") as server:
        hl7(server.port, charset="iso-8859-1").deliver([result])
    (message,) = server.messages
    assert str(message["MSH"][0][18]) == "8859/1"
    assert str(message["PID"][0][5]) == "Müller-Yamada^Jörg^J.^MSc^Dr.^^^A"


def test_the_measurements_of_a_series_arrive(tmp_path: Path) -> None:
    def describe(_index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName, dataset.PatientID = "Müller^Jörg", "4711"
        dataset.AccessionNumber = "ACC"

    source = read_series(ct_series().modify(describe).write(tmp_path / "ct"))
    segmenter = ThresholdSegmenter()
    mask = segmenter.predict(source.volume)
    measurements = measure(source.volume, mask)
    content = ResultContent("job", source, mask, segmenter.spec, measurements, (), MADE_AT)
    path = report_file(tmp_path, report_of(content, [ResultObject(ResultKind.SEG)]))
    result = ResultFile(path, Uid("1.2"), Uid("1.3"), Uid("1.4"))
    with Hl7Server() as server, FhirServer() as fhir_server:
        hl7(server.port).deliver([result])
        fhir(fhir_server.url).deliver([result])

    expected = f"{measurements['Liver'].volume_ml:.2f}"
    (message,) = server.messages
    volume = next(one for one in message["OBX"] if "liver-volume" in str(one[3]))
    assert str(message["PID"][0][5]) == "Müller^Jörg^^^^^^A"
    assert str(volume[5]) == expected
    stored = fhir_server.resources["Observation"]["1"]
    assert stored["valueQuantity"]["value"] == float(expected)


def test_a_character_set_that_cannot_hold_a_name_is_reported(tmp_path: Path) -> None:
    latin = with_patient(
        name=replace(REPORT.patient.name, ideographic=REPORT.patient.name.phonetic)
    )
    result = ResultFile(report_file(tmp_path, latin), Uid("1.2"), Uid("1.3"), Uid("1.4"))
    with Hl7Server() as server:
        message = error_of(hl7(server.port, charset="iso-8859-1"), result, Rejected)
    assert 'set charset = "utf-8"' in message
    assert server.messages == []


def test_a_report_without_a_patient_id_is_not_sent(tmp_path: Path) -> None:
    nobody = with_patient(identifier=ReportIdentifier())
    result = ResultFile(report_file(tmp_path, nobody), Uid("1.2"), Uid("1.3"), Uid("1.4"))
    with Hl7Server() as server, FhirServer() as fhir_server:
        assert "no Patient ID" in error_of(hl7(server.port), result, Rejected)
        assert "no Patient ID" in error_of(fhir(fhir_server.url), result, Rejected)
    assert (server.messages, fhir_server.requests) == ([], 0)


@pytest.mark.parametrize("content", ["", "{", "[]", "not json"])
def test_a_damaged_report_is_a_transient_error(result: ResultFile, content: str) -> None:
    result.path.write_text(content)
    assert "cannot be read" in error_of(hl7(free_ports(1)[0]), result, Transient)


# --- HL7 with TLS -------------------------------------------------------------------------------


def test_tls_with_certificates_on_both_sides(result: ResultFile, tmp_path: Path) -> None:
    ours, theirs = (Certificate.create(tmp_path, name) for name in ("ours", "theirs"))
    with Hl7Server(tls=theirs.server_context(client=ours)) as server:
        destination = hl7(
            server.port,
            tls=True,
            ca_file=theirs.certificate,
            certificate_file=ours.certificate,
            key_file=ours.key,
        )
        receipt = destination.deliver([result])

    assert receipt.detail.endswith("AA")
    assert len(server.messages) == 1


def test_a_foreign_certificate_is_a_transient_error(result: ResultFile, tmp_path: Path) -> None:
    theirs, foreign = (Certificate.create(tmp_path, name) for name in ("theirs", "foreign"))
    with Hl7Server(tls=foreign.server_context()) as server:
        trusting = hl7(server.port, tls=True, ca_file=theirs.certificate)
        message = error_of(trusting, result, Transient)
        assert "does not trust the authority of its certificate; set ca_file" in message
    assert server.messages == []


def test_a_missing_client_certificate_is_a_transient_error(
    result: ResultFile, tmp_path: Path
) -> None:
    ours, theirs = (Certificate.create(tmp_path, name) for name in ("ours", "theirs"))
    with Hl7Server(tls=theirs.server_context(client=ours)) as server:
        anonymous = hl7(server.port, tls=True, ca_file=theirs.certificate)
        assert "certificate" in error_of(anonymous, result, Transient)
    assert server.messages == []


def test_a_certificate_file_that_is_none_is_a_transient_error(
    result: ResultFile, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    destination = hl7(free_ports(1)[0], tls=True, ca_file=broken)
    assert f"{broken} holds no certificate" in error_of(destination, result, Transient)


# --- FHIR ---------------------------------------------------------------------------------------


def test_a_repeated_transaction_creates_nothing_twice(result: ResultFile) -> None:
    with FhirServer() as server:
        first = fhir(server.url).deliver([result])
        second = fhir(server.url).deliver([result])

    total = sum(map(len, server.resources.values()))
    assert first.detail.endswith(f"{total} resources created, 0 already there")
    assert second.detail.endswith(f"0 resources created, {total} already there")
    assert (server.count("DiagnosticReport"), server.count("Device")) == (1, 1)
    assert server.count("Observation") == total - 2
    (report,) = server.resources["DiagnosticReport"].values()
    references = [one["reference"] for one in report["result"]]
    assert references == [f"Observation/{i + 1}" for i in range(total - 2)]


def test_what_an_interrupted_delivery_left_is_completed(result: ResultFile) -> None:
    """A server without transactions may have stored a part; the rest is created, and no more."""
    with FhirServer() as server:
        fhir(server.url).deliver([result])
        complete = {kind: len(stored) for kind, stored in server.resources.items()}
        del server.resources["DiagnosticReport"]["1"]
        receipt = fhir(server.url).deliver([result])

    assert receipt.detail.endswith(
        f"1 resources created, {sum(complete.values()) - 1} already there"
    )
    assert {kind: len(stored) for kind, stored in server.resources.items()} == complete


def test_the_token_is_sent_and_a_wrong_one_is_reported(result: ResultFile) -> None:
    with FhirServer(token="t0ken-4711") as server:
        fhir(f"{server.url}/", token="t0ken-4711").deliver([result])
        message = error_of(fhir(server.url, token="wrong"), result, Transient)
    assert "check the token" in message
    assert "invalid token" in message
    assert "t0ken-4711" not in repr(fhir(server.url, token="t0ken-4711"))


def test_the_server_finds_the_patient(tmp_path: Path) -> None:
    report = with_patient(identifier=ReportIdentifier("A|1", Issuer("", "1.2", "ISO")))
    result = ResultFile(report_file(tmp_path, report), Uid("1.2"), Uid("1.3"), Uid("1.4"))
    with FhirServer() as server:
        searching = fhir(server.url, patient_reference="search")
        assert "no single match" in error_of(searching, result, Rejected)
        assert server.resources == {}
        identifier = {"system": "urn:oid:1.2", "value": "A|1"}
        name = server.store({"resourceType": "Patient", "identifier": [identifier]})
        searching.deliver([result])
    (stored,) = server.resources["DiagnosticReport"].values()
    assert stored["subject"]["reference"] == name


@pytest.mark.parametrize(
    ("status", "family"),
    [(302, Transient), (400, Rejected), (401, Transient), (403, Transient), (404, Transient),
     (408, Transient), (409, Transient), (412, Rejected), (413, Rejected), (422, Rejected),
     (429, Transient), (500, Transient), (503, Transient)],
)  # fmt: skip
def test_each_status_has_its_outcome_and_the_reason_of_the_server(
    result: ResultFile, status: int, family: type[Exception]
) -> None:
    outcome = operation_outcome("the value set of Müller-Yamada is unknown")
    with FhirServer(answer=(status, outcome)) as server:
        message = error_of(fhir(server.url), result, family)
    assert f"answered {status}" in message
    assert "the value set of [removed] is unknown" in message


def test_issues_are_told_by_text_and_code_and_warnings_are_not(result: ResultFile) -> None:
    issues = [
        {"severity": "warning", "code": "informational", "diagnostics": "never mind"},
        {"severity": "error", "code": "invalid", "details": {"text": "subject is required"}},
        {"severity": "fatal", "code": "exception"},
    ]
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    with FhirServer(answer=(422, outcome)) as server:
        message = error_of(fhir(server.url), result, Rejected)
    assert "subject is required; exception" in message
    assert "never mind" not in message


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"type": "transaction-response"}',
     b'{"type": "transaction-response", "entry": [{"response": {"status": "201"}}]}',
     b'{"type": "transaction-response", "entry": [1, 2]}'],
)  # fmt: skip
def test_a_success_that_says_nothing_is_a_transient_error(result: ResultFile, body: bytes) -> None:
    with FhirServer(answer=(200, body)) as server:
        assert "without saying" in error_of(fhir(server.url), result, Transient)


def test_an_entry_that_failed_is_a_transient_error(result: ResultFile) -> None:
    with FhirServer() as server:
        fhir(server.url).deliver([result])
        count = sum(map(len, server.resources.values()))
        entries = [{"response": {"status": "201 Created"}}] * (count - 1)
        entries.append({"response": {"status": "422 Unprocessable"}})
        server.answer = (200, {"type": "transaction-response", "entry": entries})
        assert "without saying" in error_of(fhir(server.url), result, Transient)


def test_a_silent_server_is_a_transient_error(result: ResultFile) -> None:
    with FhirServer(hangs=True) as server:
        message = error_of(fhir(server.url, timeout_seconds=_IMPATIENCE_S), result, Transient)
    assert "does not answer" in message


def test_an_unreachable_server_is_a_transient_error(result: ResultFile) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}/r4"
    assert "check the address" in error_of(fhir(url), result, Transient)


def test_the_certificate_of_a_server_is_checked(result: ResultFile, tmp_path: Path) -> None:
    theirs, foreign = (Certificate.create(tmp_path, name) for name in ("theirs", "foreign"))
    with FhirServer(tls=theirs.server_context()) as server:
        url = server.url.replace("http:", "https:")
        fhir(url, ca_file=theirs.certificate).deliver([result])
        for wrong in (foreign.certificate, None, tmp_path / "missing.pem"):
            message = error_of(fhir(url, ca_file=wrong), result, Transient)
            assert "and the node agree on no TLS connection" in message
    assert server.requests == 1


def test_a_wrong_path_is_reported_with_advice(result: ResultFile) -> None:
    with FhirServer() as server:
        message = error_of(fhir(f"{server.url}/wrong"), result, Transient)
    assert "root of its FHIR service" in message
