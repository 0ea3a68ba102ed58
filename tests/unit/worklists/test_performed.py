"""The attributes that a performer reports."""

from datetime import datetime

from node.domain.worklists.codes import Code, Discontinuation
from node.worklists.performed import Performance, cancellation_report, progress_report
from tests.support.factories import LATER, NOON
from tests.support.servers.ups_requirements import final_state_mistakes, update_mistakes

PERFORMANCE = Performance(
    Code("AI-1", "99HOSP"), (Code("LIVER", "99HOSP"),), NOON, LATER, "x" * 100, ()
)


def test_long_texts_are_cut_to_what_their_attributes_hold() -> None:
    report = cancellation_report(
        PERFORMANCE, 50, "a reason " * 5000, Code.of(Discontinuation.UNSPECIFIED)
    )
    (progress,) = report.ProcedureStepProgressInformationSequence
    assert len(progress.ProcedureStepProgressDescription) == 1024
    assert len(progress.ReasonForCancellation) == 10240
    (performed,) = report.UnifiedProcedureStepPerformedProcedureSequence
    assert len(performed.PerformedProcedureStepDescription) == 64
    assert list(update_mistakes(report)) == []
    assert list(final_state_mistakes(report, "CANCELED")) == []


def test_times_have_their_offset() -> None:
    report = cancellation_report(PERFORMANCE, 50, "x", Code.of(Discontinuation.UNSPECIFIED))
    (performed,) = report.UnifiedProcedureStepPerformedProcedureSequence
    text = str(performed.PerformedProcedureStepStartDateTime)
    assert datetime.strptime(text, "%Y%m%d%H%M%S.%f%z") == NOON


def test_a_code_without_a_meaning_has_its_value_as_meaning() -> None:
    report = cancellation_report(PERFORMANCE, 50, "x", Code.of(Discontinuation.UNSPECIFIED))
    (performed,) = report.UnifiedProcedureStepPerformedProcedureSequence
    assert performed.PerformedStationNameCodeSequence[0].CodeMeaning == "AI-1"


def test_progress_is_a_number_with_a_text() -> None:
    (item,) = progress_report(30, "waiting").ProcedureStepProgressInformationSequence
    assert item.ProcedureStepProgress == 30
    assert item.ProcedureStepProgressDescription == "waiting"
