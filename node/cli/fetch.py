"""`segnode fetch`: finds series at a peer or DICOMweb source and requests their retrieval."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import record_work
from node.cli.options import ConfigOption
from node.dicom.query import FoundSeries, SeriesQuery
from node.domain.audit.records import AuditObject, AuditObjectType

if TYPE_CHECKING:
    from node.settings import Settings
    from node.store import Retrieval, Store


def fetch(
    source: Annotated[
        str | None,
        typer.Argument(help="A peer with `retrieve`, or a DICOMweb source, of the configuration."),
    ] = None,
    config: ConfigOption = None,
    patient_id: Annotated[str, typer.Option(help="Patient ID; * and ? are wildcards.")] = "",
    accession: Annotated[str, typer.Option(help="Accession number.")] = "",
    study_date: Annotated[str, typer.Option(help="20260131, or 20260101-20260131.")] = "",
    modality: Annotated[str, typer.Option(help="Modality; the node stores CT alone.")] = "CT",
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    series: Annotated[str, typer.Option(help="Series Instance UID; needs --study.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of matches.")] = 100,
    dry_run: Annotated[bool, typer.Option(help="List the matches and request nothing.")] = False,
    state: Annotated[bool, typer.Option(help="List the latest retrievals instead.")] = False,
) -> None:
    """Find series at a PACS, list them, and request their retrieval by the running node.

    Example: segnode fetch pacs --accession A123 --study-date 20260101-20260131 --dry-run
    """
    from node.configuration.active import active_settings
    from node.retrieval.sources import searchable_source

    settings = active_settings(config)
    if state:
        typer.echo(_state(settings, limit))
        return
    if source is None:
        raise typer.BadParameter("name a peer or source of the configuration")
    searched = searchable_source(settings, source)
    try:
        query = SeriesQuery(patient_id, accession, study_date, modality, study, series)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    found = searched.search(query, limit)
    for one in found:
        typer.echo(_line(one))
    if dry_run or not found:
        typer.echo(f"{len(found)} series match; none is requested.")
        return
    numbers = _request(settings, source, found)
    typer.echo(
        f"Requested {len(numbers)} series from {source}: retrieval "
        f"{', '.join(map(str, numbers))}. The running node retrieves them, one after the other. "
        "Follow them with `segnode fetch --state`, and the series with `segnode jobs list`."
    )


def _request(settings: "Settings", source: str, found: Sequence[FoundSeries]) -> list[int]:
    store = _open_store(settings)
    try:
        numbers = [
            store.request_retrieval(
                source, one.study_instance_uid, one.series_instance_uid, datetime.now(UTC)
            )
            for one in found
        ]
        series = [AuditObject(AuditObjectType.SERIES, one.series_instance_uid) for one in found]
        record_work(store, series, f"segnode fetch {source}")
        return numbers
    finally:
        store.close()


def _state(settings: "Settings", limit: int) -> str:
    store = _open_store(settings)
    try:
        retrievals = store.list_retrievals(limit)
    finally:
        store.close()
    return "\n".join(map(_retrieval_line, retrievals)) or "Nothing has been requested yet."


def _open_store(settings: "Settings") -> "Store":
    from node.store.opening import opened_store

    return opened_store(settings)


def _line(found: FoundSeries) -> str:
    count = "?" if found.instance_count is None else str(found.instance_count)
    return (
        f"{found.study_date or 'no date':8}  {found.modality:4}  {count:>5} images  "
        f"{found.description or '(no description)'}\n"
        f"  study {found.study_instance_uid}\n  series {found.series_instance_uid}"
    )


def _retrieval_line(retrieval: "Retrieval") -> str:
    return (
        f"{retrieval.retrieval_id}: {retrieval.requested_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"{retrieval.source}, {_outcome(retrieval)}\n  series {retrieval.series_instance_uid}"
    )


def _outcome(retrieval: "Retrieval") -> str:
    if retrieval.finished_at is not None:
        return f"failed: {retrieval.error}" if retrieval.error else "retrieved"
    if retrieval.next_try_at is None:
        return "waiting, or in progress"
    return (
        f"attempt {retrieval.attempts} failed, next at {retrieval.next_try_at:%H:%M:%S} UTC: "
        f"{retrieval.error}"
    )
