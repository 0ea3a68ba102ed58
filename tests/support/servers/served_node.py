"""The web application with a real store, served by a real server in the test's process."""

import fcntl
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from fastapi import FastAPI
from pydicom import dcmwrite

from node.dicom.results.preview import overlay_png
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin
from node.domain.job import Job, JobState
from node.domain.result_objects import SEG, ObjectUids, StoredObject
from node.domain.series import StoredSeries
from node.intake.inbox import Inbox
from node.intake.part10 import received_from_file
from node.pipeline import ResultRequest, segment
from node.runtime.locks import LockedProcess, process_lock_file
from node.settings import AccessOptions, Settings, load_settings
from node.store import Store
from node.store.files.factory import open_files
from node.web.app import create_app
from node.web.event_streams import EventStreams, streams_of
from node.web.server.ports import WebPort
from tests.support.dicom.builders import MADE_AT, CtFiles, ThresholdSegmenter
from tests.support.factories import job_of
from tests.support.servers.web_server import WebServer
from tests.support.waiting import until


@dataclass(frozen=True)
class ServedNode:
    """A node of which only the web process runs; the test acts for the others through the store."""

    settings: Settings
    store: Store
    url: str
    streams: EventStreams

    @property
    def dicomweb_url(self) -> str:
        """The root URL of DICOMweb."""
        return f"{self.url}/dicom-web"

    def open_streams(self) -> int:
        """Returns the number of open event streams."""
        return self.streams.open_count

    def close_streams(self) -> None:
        """Ends the event streams, as a server that stops does."""
        self.streams.close()

    def receive(self, series: CtFiles, folder: Path, peer: str = "CT1") -> StoredSeries:
        """Receives a series, as by C-STORE."""
        return self.receive_files(series.write(folder), peer)

    def receive_files(self, files: Sequence[Path], peer: str = "CT1") -> StoredSeries:
        """Receives the files of one series, as by C-STORE."""
        inbox = Inbox(self.store, 0)
        for path in files:
            received = received_from_file(path, Origin(Channel.C_STORE, peer))
            inbox.accept(received, datetime.now(UTC))
        series = self.store.get_series(received.series_instance_uid)
        assert series is not None
        return series

    def add_job(self, series: StoredSeries) -> Job:
        """Queues a job for the series."""
        job = replace(
            job_of(series.series_instance_uid),
            study_instance_uid=series.study_instance_uid,
            instance_count=series.instance_count,
        )
        assert self.store.add_job(job)
        return job

    def finish_job(self, job: Job) -> Job:
        """Completes a queued job with a liver found by threshold; its state becomes DELIVERING."""
        now = datetime.now(UTC)
        self.store.change_job(job.job_id, JobState.RUNNING, now)
        paths = [i.path for i in self.store.instances_of(job.series_instance_uid)]
        request = ResultRequest(job.job_id, MADE_AT)
        files = self.store.files
        with files.local_copies(paths) as local_copies:
            result = segment(local_copies, ThresholdSegmenter(), request)
        folder = self.settings.data_dir / "results" / job.job_id
        content = result.content
        picture = overlay_png(content.source.volume, content.mask, content.measurements)
        seg_file = BytesIO()
        dcmwrite(seg_file, result.dataset, enforce_file_format=True)
        files.put(folder / "result.dcm", [seg_file.getvalue()])
        files.put(folder / "overlay.png", [picture])
        seg = StoredObject(
            job.job_id, SEG, result.dataset.SOPClassUID, (folder / "result.dcm",), seg_file.tell()
        )
        self.store.record_objects([seg])
        self.store.add_deliveries(job.job_id, job.destinations, now)
        return self.store.change_job(
            job.job_id,
            JobState.DELIVERING,
            now,
            timings_s=result.timings_s,
            measurements={
                label: {"volume_ml": m.volume_ml, "cut_by_series": m.cut_by_series}
                for label, m in content.measurements.items()
            },
            result_path=folder / "result.dcm",
            picture_path=folder / "overlay.png",
        )

    def result_uids(self, job: Job) -> tuple[Uid, Uid, Uid]:
        """Returns study, series and instance UID of the job's SEG."""
        uids = ObjectUids(job.job_id, SEG)
        return job.study_instance_uid, uids.series_instance_uid, uids.sop_instance_uid()

    def series(self, uid: str) -> StoredSeries:
        """Returns the series in its current state."""
        found = self.store.get_series(Uid(uid))
        assert found is not None
        return found


@contextmanager
def running_worker(node: ServedNode) -> Iterator[None]:
    """Holds the lock by which a worker is known to run."""
    path = process_lock_file(LockedProcess.WORKER, node.settings.data_dir)
    path.touch()
    # Opened for reading: a file open for writing prevents a remount as read-only.
    with path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def served_node(
    folder: Path,
    configuration: str = "",
    *,
    port: int = 0,
    login: str = "none",
    tls: ssl.SSLContext | None = None,
) -> Iterator[ServedNode]:
    """Serves a node in `folder` with this TOML configuration; port 0 selects a free one.

    With `login` "required", the configuration says who may use the console. With `tls`, by HTTPS.
    """
    config = folder / "segnode.toml"
    config.write_text(f'data_dir = "data"\n{configuration}', encoding="utf-8")
    settings = load_settings(config)
    settings = without_login(settings) if login == "none" else settings
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    with serving(create_app(settings, store), settings, store, port, tls) as served:
        yield served


def without_login(settings: Settings) -> Settings:
    """Returns the settings with a console that everybody may use: for tests of other things."""
    return settings.model_copy(update={"access": AccessOptions(login="none")})


@contextmanager
def serving(
    app: FastAPI,
    settings: Settings,
    store: Store,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[ServedNode]:
    """Serves an application; closes its store at the end."""
    listening = socket.create_server(("127.0.0.1", port))
    # Connections inherit it; otherwise each part of a response waits for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = WebServer(app, WebPort(listening, app, tls))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 10, "the web server to start")
        url = f"{'http' if tls is None else 'https'}://127.0.0.1:{listening.getsockname()[1]}"
        yield ServedNode(settings, store, url, streams_of(app))
    finally:
        streams_of(app).close()
        server.should_exit = True
        thread.join()
        listening.close()
        store.close()
