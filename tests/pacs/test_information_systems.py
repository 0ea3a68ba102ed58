"""HL7 and FHIR before receivers and validators of other makers, and from a whole node."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from node.delivery.his.fhir_bundle import transaction
from node.delivery.his.hl7 import Hl7
from node.delivery.his.report_file import delivery_id
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.errors import Rejected, Transient
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.report import NameComponents, ReportIdentifier, ReportName
from node.settings import FhirDestination, Hl7Destination
from tests.support.npm_tools import npm_tool
from tests.support.peers.mllp_receiver import Hl7Server
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.reports import REPORT, with_patient
from tests.support.servers.fhir_server import FhirServer

_TIMEOUT_S = 60.0
_VIEWER = "https://viewer.example/viewer?a=1&StudyInstanceUIDs={study}"


@contextmanager
def node_hl7_server(code: str) -> Iterator[tuple[int, Iterator[str]]]:
    """Runs node-hl7-server; yields its port and the lines that it prints."""
    port = free_ports(1)[0]
    command = [*npm_tool("hl7_server.js"), str(port), code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout)
            assert next(lines) == "listening\n"
            yield port, lines
        finally:
            process.kill()


def hl7(port: int) -> Hl7:
    return Hl7(
        "his",
        Hl7Destination(
            kind="hl7",
            host="127.0.0.1",
            port=port,
            viewer_url=_VIEWER,
            timeout_seconds=_TIMEOUT_S,
        ),
    )


def test_node_hl7_server_reads_and_acknowledges_the_message() -> None:
    with node_hl7_server("AA") as (port, lines):
        receipt = hl7(port).deliver_report(REPORT)
        received: dict[str, Any] = json.loads(next(lines))

    assert receipt.detail.endswith("AA")
    assert received["control_id"] == delivery_id(REPORT.job_id, "his")
    assert received["family_name"] == "Müller-Yamada"
    assert received["results"] > 10
    assert "山田^太郎^^^^^^I" in received["text"]


@pytest.mark.parametrize(("code", "family"), [("AE", Transient), ("AR", Rejected)])
def test_node_hl7_server_refuses_the_message(code: str, family: type[Exception]) -> None:
    with node_hl7_server(code) as (port, _), pytest.raises(family, match=code):
        hl7(port).deliver_report(REPORT)


def errors_in(bundle: str) -> list[str]:
    """The errors that the two FHIR R4 validators find."""
    checked = subprocess.run(
        npm_tool("fhir_validators.js"),
        input=bundle,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    return checked.stdout.splitlines()


@pytest.mark.parametrize("patient_reference", ["identifier", "search"])
@pytest.mark.parametrize("status", ["preliminary", "final"])
def test_the_bundle_is_valid_fhir_r4(patient_reference: str, status: str) -> None:
    options = FhirDestination.model_validate(
        {"kind": "fhir", "url": "http://fhir.example/r4", "viewer_url": _VIEWER,
         "patient_reference": patient_reference, "status": status}
    )  # fmt: skip
    assert errors_in(transaction(REPORT, options)) == []


def test_a_bundle_with_little_in_it_is_valid_fhir_r4() -> None:
    study = replace(
        REPORT.study, date="", time="", utc_offset="", accession=ReportIdentifier(), description=""
    )
    order = replace(REPORT.order, placer_order=ReportIdentifier(), filler_order=ReportIdentifier())
    report = replace(
        with_patient(
            identifier=ReportIdentifier("4711"), name=ReportName(NameComponents()), birth_date=""
        ),
        study=study,
        order=order,
        findings=(),
        objects=(),
    )
    options = FhirDestination(kind="fhir", url="http://fhir.example/r4")
    assert errors_in(transaction(report, options)) == []


def test_the_validators_find_errors() -> None:
    options = FhirDestination(kind="fhir", url="http://fhir.example/r4")
    bundle = json.loads(transaction(REPORT, options))
    bundle["entry"][1]["resource"]["status"] = "nonsense"
    del bundle["entry"][-1]["resource"]["code"]
    found = "\n".join(errors_in(json.dumps(bundle)))
    assert "nonsense" in found
    assert "DiagnosticReport.code" in found


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancPacs]:
    """A PACS beside the information systems."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    with OrthancPacs(tmp_path / "orthanc") as running:
        yield running


def test_the_node_delivers_to_pacs_his_and_ehr(orthanc: OrthancPacs, tmp_path: Path) -> None:
    files = small_abdomen(tmp_path / "ct", seed=11)
    for file in files:
        dataset = dcmread(file)
        dataset.PatientID, dataset.PatientName = "PAT-4711", "Unmistakable^Name"
        dataset.save_as(file, enforce_file_format=True)
    series = Uid(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    # The information system fails once, so that the message is sent again.
    with Hl7Server("AE", "AA") as his, FhirServer() as ehr:
        node = RunningNode(tmp_path / "site", orthanc)
        add_destinations(node.config_file, his.port, ehr.url)
        node.start()
        try:
            node.send(files)
            job = node.ended_job(series)
            log = node.log()
        finally:
            node.close()

    assert job.state is JobState.DELIVERED, job.reason
    first, second = his.messages
    assert str(first) == str(second)
    volume = next(one for one in second["OBX"] if "liver-volume" in str(one[3]))
    # NM or, for an organ that the scan cuts, SN with a comparator before the number.
    assert float(str(volume[5]).split("^")[-1]) == round(job.measurements["Liver"]["volume_ml"], 2)
    assert ehr.count("DiagnosticReport") == 1
    assert orthanc.post("/tools/find", {"Level": "Instance", "Query": {"Modality": "SEG"}})
    assert "PAT-4711" not in log
    assert "Unmistakable" not in log


def add_destinations(configuration: Path, his_port: int, ehr_url: str) -> None:
    """Adds the information systems to the configuration and to its rule."""
    text = configuration.read_text()
    configuration.write_text(
        text.replace('destinations = ["pacs"]', 'destinations = ["pacs", "his", "ehr"]')
        + f"""
[destinations.his]
kind = "hl7"
host = "127.0.0.1"
port = {his_port}

[destinations.ehr]
kind = "fhir"
url = "{ehr_url}"
"""
    )
