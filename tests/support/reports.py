"""A report with values in every part, and its file."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.domain.findings import Finding, FindingKind
from node.domain.report import (
    Issuer,
    NameComponents,
    OrganReport,
    Report,
    ReportCode,
    ReportedObject,
    ReportIdentifier,
    ReportModel,
    ReportName,
    ReportOrder,
    ReportPatient,
    ReportSeries,
    ReportStudy,
)

REPORT = Report(
    job_id="job-1",
    patient=ReportPatient(
        identifier=ReportIdentifier("PAT-4711", Issuer("Süd", "1.2.40.0.34", "ISO")),
        name=ReportName(
            alphabetic=NameComponents("Müller-Yamada", "Tarō", "J.", "Dr.", "MSc"),
            ideographic=NameComponents("山田", "太郎"),
            phonetic=NameComponents("やまだ", "たろう"),
        ),
        birth_date="19610203",
        sex="M",
    ),
    study=ReportStudy(
        study_instance_uid="1.2.3.4",
        date="20260504",
        time="101112",
        utc_offset="+0200",
        description="CT Abdomen",
        accession=ReportIdentifier("ACC-1", Issuer("RIS")),
        admission=ReportIdentifier("VISIT-9"),
        referring_physician=ReportName(NameComponents("Weiß", "Eva", "", "Prof.")),
    ),
    order=ReportOrder(
        placer_order=ReportIdentifier("PLACER-1", Issuer("HIS")),
        filler_order=ReportIdentifier("FILLER-1", Issuer("RIS")),
        requested_procedure_id="RP-1",
        requested_procedure_description="CT of the abdomen",
        requested_procedure_code=ReportCode("CTABD", "99HOSP", "CT of the abdomen"),
    ),
    series=ReportSeries("1.2.3.4.5", 4, "Abdomen KM", 120),
    model=ReportModel("organs-ct", "0.3.0", "segnode", "ab" * 32, "0.1.0"),
    organs=(
        OrganReport(
            label="Liver",
            code=ReportCode("10200004", "SCT", "Liver"),
            found=True,
            is_lower_bound=True,
            volume_ml=1234.567,
            mean_hu=55.25,
            std_hu=12.5,
            min_hu=-20.0,
            max_hu=140.0,
        ),
        OrganReport(
            label="Right kidney",
            code=ReportCode("9846003", "SCT", "Right kidney"),
            found=True,
            is_lower_bound=False,
            volume_ml=160.0,
            mean_hu=None,
        ),
        OrganReport(
            label="Spleen",
            code=ReportCode("78961009", "SCT", "Spleen"),
            found=False,
            is_lower_bound=False,
            volume_ml=None,
        ),
    ),
    findings=(
        Finding(FindingKind.CUT_BY_SERIES, "Liver", "The liver reaches the last slice."),
        Finding(FindingKind.NOT_FOUND, "Spleen", "No spleen was found."),
    ),
    created_at=datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
    objects=(ReportedObject("seg", "1.2.3.9", "1.2.3.9.1"),),
    notice="Automatic segmentation, not for diagnostic use",
)


def with_patient(**changes: Any) -> Report:
    """Returns the report with other attributes of the patient."""
    return replace(REPORT, patient=replace(REPORT.patient, **changes))


def report_file(folder: Path, report: Report = REPORT) -> Path:
    """Writes the report and returns its path."""
    path = folder / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    return path
