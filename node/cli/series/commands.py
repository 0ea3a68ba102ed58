"""`segnode series`: searches for received series."""

import json
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import record_search
from node.cli.jobs import JsonOption, job_json, open_store
from node.cli.options import (
    DATE_METAVAR,
    TIME_HELP,
    TIME_METAVAR,
    ConfigOption,
    date_option,
    time_option,
)
from node.domain.job_summary import current_jobs, outcome
from node.domain.listing.listed_states import ListedState

if TYPE_CHECKING:
    from node.store import SeriesOutcome
    from node.store.search.searching import IndexedSeries, SearchPage

app = typer.Typer(no_args_is_help=True, help="Search for received series.")

TextArgument = Annotated[str, typer.Argument(help="Anything: UID, accession number, sender ...")]
PatientOption = Annotated[str, typer.Option(help="Start of a patient's ID or name.")]
AccessionOption = Annotated[str, typer.Option(help="Start of the accession number.")]
UidOption = Annotated[str, typer.Option(help="UID of a series, study or instance.")]
SenderOption = Annotated[str, typer.Option(help="Part of the sender's AE title.")]
FromOption = Annotated[
    date | None,
    typer.Option("--from", parser=date_option, metavar=DATE_METAVAR, help="First study date."),
]
ToOption = Annotated[
    date | None,
    typer.Option("--to", parser=date_option, metavar=DATE_METAVAR, help="Last study date."),
]
SinceOption = Annotated[
    datetime | None,
    typer.Option(
        parser=time_option, metavar=TIME_METAVAR, help=f"First image since then: {TIME_HELP}."
    ),
]
BodyPartOption = Annotated[str, typer.Option(help="Start of the body part.")]
DescriptionOption = Annotated[str, typer.Option(help="Part of the series description.")]
ModelOption = Annotated[str, typer.Option(help="Start of the name of a model.")]
StateOption = Annotated[
    list[ListedState] | None, typer.Option(help="A state that counts; several are allowed.")
]
OlderOption = Annotated[str, typer.Option(help="Continue the list of an earlier call here.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of series.")]


@app.command("list")
def list_series(
    text: TextArgument = "",
    patient: PatientOption = "",
    accession: AccessionOption = "",
    uid: UidOption = "",
    sender: SenderOption = "",
    date_from: FromOption = None,
    date_to: ToOption = None,
    since: SinceOption = None,
    body_part: BodyPartOption = "",
    description: DescriptionOption = "",
    model: ModelOption = "",
    state: StateOption = None,
    older: OlderOption = "",
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the series that meet all conditions, received last first.

    Example: segnode series list --accession 12345 --state refused --json
    """
    from node.configuration.active import active_settings
    from node.store.search.query import Cursor, SeriesQuery

    query = SeriesQuery(
        text=text,
        patient=patient,
        accession_number=accession,
        uid=uid,
        sender=sender,
        study_date_from=date_from,
        study_date_to=date_to,
        received_since=since,
        body_part=body_part,
        description=description,
        model=model,
        states=frozenset(state or ()),
        searches_patients=active_settings(config).web.search_patients,
    )
    older_than = Cursor.parse(older) if older else None
    with open_store(config) as store:
        record_search(store)
        page = store.search_series(query, older_than=older_than, limit=limit)
        outcomes = store.outcomes_of([row.series_instance_uid for row in page.rows])
    found = list(zip(page.rows, outcomes, strict=True))
    typer.echo(_json(page, found) if as_json else _text(page, found))


def _json(page: "SearchPage", found: "list[tuple[IndexedSeries, SeriesOutcome]]") -> str:
    series = [
        asdict(one.series)
        | asdict(row)
        | {"states": sorted(row.states), "reason": one.reason}
        | {"jobs": [job_json(job) for job in one.jobs]}
        for row, one in found
    ]
    older = "" if page.older is None else str(page.older)
    return json.dumps({"series": series, "older": older}, default=str, indent=2)


def _text(page: "SearchPage", found: "list[tuple[IndexedSeries, SeriesOutcome]]") -> str:
    """Returns lines short enough for any terminal: two for a series, one for each current job."""
    if not found:
        return "No series found."
    lines = []
    for row, one in found:
        known = (row.patient_name, row.patient_id, row.accession_number, row.series_description)
        about = ", ".join(text for text in known if text)
        lines.append(
            f"{row.received_at:%Y-%m-%d %H:%M:%S} UTC  {', '.join(sorted(row.states))}"
            + (f": {about}" if about else "")
        )
        lines.append(f"  series {row.series_instance_uid} from {one.series.origin}")
        if one.incomplete is not None:
            lines.append(f"  {one.incomplete.explanation}")
        for job in current_jobs(one.jobs):
            result = outcome(job)
            lines.append(
                f"  job {job.job_id[:8]} {job.visible_state}" + (f": {result}" if result else "")
            )
    if page.older is not None:
        lines.append(f"There are older ones: --older {page.older}")
    return "\n".join(lines)
