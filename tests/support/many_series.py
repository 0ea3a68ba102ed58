"""Many made-up series, inserted into the tables at once, without images."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import insert

from node.domain.job import JobState
from node.domain.listing.listed_states import ListedState
from node.domain.series import SeriesState
from node.store import Store
from node.store.schema import JOBS, SERIES, SERIES_INDEX
from node.store.series_index import Line, patient_search_text, search_text, words

START = datetime(2026, 1, 1, tzinfo=UTC)
_STATES = [JobState.DELIVERED] * 90 + [JobState.REFUSED] * 9 + [JobState.DISCARDED]
_IGNORED_EVERY = 4
_PARKED = (7, 5_001)
_DESCRIPTIONS = ("Abdomen venös 1.5 B30f", "Thorax 3.0 I70f", "Topogramm", "Leber arteriell")
_LISTED = {
    JobState.DELIVERED: ListedState.DELIVERED,
    JobState.REFUSED: ListedState.REFUSED,
    JobState.DISCARDED: ListedState.DISCARDED,
    JobState.PARKED: ListedState.ATTENTION,
}


def insert_series(store: Store, numbers: range) -> None:
    """Inserts the series with these numbers, a minute apart, with index rows and jobs."""
    with store._database.writing() as connection:
        connection.execute(insert(SERIES), [_series_row(n) for n in numbers])
        connection.execute(insert(SERIES_INDEX), [_index_row(n) for n in numbers])
        connection.execute(insert(JOBS), [_job_row(n) for n in numbers if has_job(n)])


def series_uid(number: int) -> str:
    """The UID of a series."""
    return f"1.2.840.1.{number}"


def study_uid(number: int) -> str:
    """The UID of its study, which has three series."""
    return f"1.2.840.{number // 3}"


def has_job(number: int) -> bool:
    """Whether a rule selected the series."""
    return number % _IGNORED_EVERY != 0


def _job_state(number: int) -> JobState:
    return JobState.PARKED if number in _PARKED else _STATES[number % len(_STATES)]


def _series_row(number: int) -> dict[str, object]:
    at = START + timedelta(minutes=number)
    ignored = not has_job(number)
    return {
        "series_instance_uid": series_uid(number),
        "study_instance_uid": study_uid(number),
        "state": SeriesState.IGNORED if ignored else SeriesState.ACCEPTED,
        "instance_count": 300,
        "origin": f"c-store CT{number % 12}",
        "first_received_at": at,
        "last_received_at": at,
        "start_requested": False,
        "decision": '{"matches": []}',
    }


def _index_row(number: int) -> dict[str, object]:
    ignored = not has_job(number)
    state = ListedState.IGNORED if ignored else _LISTED[_job_state(number)]
    model = "organs-ct" if number % 1000 == 1 else "liver-ct"
    description = _DESCRIPTIONS[number % len(_DESCRIPTIONS)]
    body_part = "LIVER" if number % 500 == 3 else "ABDOMEN"
    name = f"Müller{number // 3}^Hans"
    accession = f"A{number // 3:07}"
    lines = {
        Line.SENDER: f"CT{number % 12}",
        Line.DESCRIPTION: description,
        Line.BODY_PART: body_part,
        Line.ACCESSION_NUMBER: accession,
    }
    return {
        "series_instance_uid": series_uid(number),
        "study_instance_uid": study_uid(number),
        "received_at": START + timedelta(minutes=number),
        "channel": "c-store",
        "peer": f"CT{number % 12}",
        "states": words([state]),
        "models": words([] if ignored else [model, f"{model}:1.0"]),
        "attributes_read": True,
        "modality": "CT",
        "series_description": description,
        "body_part_examined": body_part,
        "study_date": (date(2026, 1, 1) + timedelta(minutes=number)).strftime("%Y%m%d"),
        "accession_number": accession,
        "search_text": search_text(lines),
        "patient_id": f"P{number // 3:07}",
        "patient_name": name,
        "patient_search_text": patient_search_text(f"P{number // 3:07}", name),
    }


def _job_row(number: int) -> dict[str, object]:
    at = START + timedelta(minutes=number)
    organs = {"Liver": 1417.0, "Spleen": 210.0, "Right kidney": 160.0, "Left kidney": 158.0}
    state = _job_state(number)
    return {
        "job_id": f"job{number}",
        "series_instance_uid": series_uid(number),
        "study_instance_uid": study_uid(number),
        "series_digest": "0" * 64,
        "instance_count": 300,
        "rule": "liver",
        "rules": ["liver"],
        "part": None,
        "model_id": "liver-ct",
        "model_version": "1.0",
        "destinations": ["archive"],
        "state": state,
        "reason": "the series has 3 slices" if state is JobState.REFUSED else "",
        "timings_s": {"segment": 12.0},
        "measurements": {name: {"volume_ml": volume} for name, volume in organs.items()},
        "findings": [],
        "run_number": 1,
        "created_at": at,
        "updated_at": at,
    }
