"""The states of a site in which its pages are rendered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from models.installed_packages import find
from models.mask import Mask
from models.phantom import Phantom, abdomen
from node.configuration.site_configuration import import_file
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.domain.delivery import DeliveryKey, Receipt
from node.domain.job import Job, JobState
from node.domain.queues.discarding import Discarding
from node.domain.result_objects import NOTICE
from node.domain.series import SeriesState
from node.routing.rule_matching import decide
from node.routing.series_facts import SeriesFacts
from tests.screenshots.access_site import WITH_PROVIDER, no_users, some_users
from tests.screenshots.managed_site import MANAGED, fill_managed
from tests.support.browser.busy_console import decide_series
from tests.support.browser.overview_site import (
    CONFIGURATION,
    add_activity,
    add_job,
    add_problems,
    add_series,
    deliver,
    run_worker,
)
from tests.support.browser.slice_viewer_page import add_result
from tests.support.factories import series_in
from tests.support.servers.served_node import ServedNode

_SEED = 7
_SHAPE = (40, 192, 192)
_SPACING_MM = (7.0, 2.0, 2.0)
_MANY = 130
IGNORED_NUMBER = 204
REFUSAL = (
    "The series has 3 slices; liver-ct needs at least 10. Send the whole series from the scanner."
)


@dataclass(frozen=True)
class Site:
    """A node in some state; `fill` adds what its pages show."""

    fill: Callable[[ServedNode], None]
    configuration: str = CONFIGURATION
    has_worker: bool = True
    login: Literal["required", "none"] = "none"


def _new(node: ServedNode) -> None:
    """The first start of a node that is configured in the console."""
    run_worker(node)
    import_file(node.store, node.settings.file, datetime.now(UTC))


def _empty(node: ServedNode) -> None:
    """Nothing has been received."""
    run_worker(node)


def _normal(node: ServedNode) -> None:
    """Deliveries of the last minutes, one of them with images and result."""
    add_activity(node)
    job = _phantom_result(node)
    node.store.record_receipt(job.job_id, "archive", Receipt("archive", "kept"), datetime.now(UTC))
    node.store.change_job(job.job_id, JobState.DELIVERED, datetime.now(UTC))


def _problem(node: ServedNode) -> None:
    """A failing PACS, and a stopped, a refused, a discarded and an ignored series."""
    add_problems(node)
    run_worker(node)
    now = datetime.now(UTC)
    store = node.store
    stopped = add_job(node, 201, "CT_ROOM_1", now - timedelta(minutes=9))
    store.change_job(stopped.job_id, JobState.PARKED, now, reason="the disk is full")
    refused = add_job(node, 202, "CT_ROOM_2", now - timedelta(minutes=8))
    key = str(DeliveryKey("pacs", NOTICE))
    store.keep_deliveries(refused.job_id, [])
    store.add_deliveries(refused.job_id, [key], now)
    store.record_receipt(refused.job_id, key, Receipt("pacs", "stored by PACS"), now)
    path = node.settings.data_dir / "results" / refused.job_id / "notice.dcm"
    store.change_job(refused.job_id, JobState.DELIVERING, now, reason=REFUSAL, result_path=path)
    store.change_job(refused.job_id, JobState.REFUSED, now, reason=REFUSAL)
    given_up = add_job(node, 203, "CT_ROOM_1", now - timedelta(minutes=7))
    store.change_job(given_up.job_id, JobState.PARKED, now, reason="not delivered to pacs: refused")
    store.discard_job(given_up.job_id, Discarding("repeated scan, see the next one", "roe"), now)
    ignored = add_series(node, IGNORED_NUMBER, "CT_ROOM_2", now - timedelta(minutes=6))
    facts = SeriesFacts({"Modality": ("MR",)}, 1, "CT_ROOM_2")
    decision = decide(node.settings.rules, facts).to_json()
    assert store.record_decision(ignored, decision, SeriesState.IGNORED, now, 1)


def _many(node: ServedNode) -> None:
    """More series than the list shows."""
    run_worker(node)
    now = datetime.now(UTC)
    for number in range(_MANY):
        at = now - timedelta(minutes=number)
        deliver(node, add_job(node, number, f"CT_ROOM_{number % 3}", at), at + timedelta(minutes=1))


def write_phantom(folder: Path) -> tuple[Phantom, list[Path]]:
    """Writes the CT series of a phantom of the abdomen; returns both."""
    phantom = abdomen(_SEED, shape=_SHAPE, spacing_mm=_SPACING_MM)
    return phantom, write_ct_series(phantom.volume, folder, seed=_SEED)


def _phantom_result(node: ServedNode) -> Job:
    """Receives a phantom of the abdomen, and adds its true organs as the result."""
    phantom, files = write_phantom(node.settings.data_dir / "sent")
    series = node.receive_files(files, "CT_ROOM_1")
    organs = phantom.organs.match_geometry(read_series(files).volume.get_geometry())
    job = add_result(node, series, mask=Mask(organs, find("organs-ct").labels))
    decide_series(node, series)
    return job


README_SITE = "normal"
SITES: Mapping[str, Site] = {
    "new": Site(_new, 'config = "database"\n'),
    "empty": Site(_empty),
    "normal": Site(_normal),
    "problem": Site(_problem),
    "many": Site(_many),
    "managed": Site(fill_managed, MANAGED),
    "set-up": Site(no_users, login="required"),
    "users": Site(some_users, CONFIGURATION + WITH_PROVIDER, login="required"),
}


def series_of(node: ServedNode, state: JobState) -> str:
    """Returns the path of the page of the newest series whose job is in that state."""
    job = next(iter(node.store.list_jobs(1, states=[state])))
    return f"/series/{job.series_instance_uid}"


def largest_series(node: ServedNode) -> str:
    """Returns the path of the page of the series with the most images."""
    largest = max(series_in(node.store, _MANY), key=lambda series: series.instance_count)
    return f"/series/{largest.series_instance_uid}"
