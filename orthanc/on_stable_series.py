"""Tells segnode of every CT series that has become stable in this Orthanc.

Orthanc's Python plugin runs this file ("PythonScript" in Orthanc's configuration); the section
"Segnode" of that configuration holds its settings, see README.md beside this file.

Orthanc's own log of changes is the queue. A thread reads it from the place up to which every
series is settled, and keeps that place in Orthanc's database: a node that is down and an Orthanc
that is restarted or killed delay a series and lose none, and memory stays bounded. The callback
only wakes the thread, so Orthanc never waits for the node.
"""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, fields
from typing import Any

import orthanc

# What segnode writes into Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090) of
# its results; they are never sent back. Its phantoms name another model and may be sent.
OWN_MANUFACTURER = "segnode"
OWN_MODEL_NAME = "segnode"

CT_SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
    }
)

# A number in Orthanc's table of global properties; plugins have 1024 and above.
POSITION_PROPERTY = 24310

# Series under way at one time; when the node is down, the others wait in Orthanc's log.
MAX_OPEN = 500
CHANGES_PER_PAGE = 500
# A wake-up may be lost when Orthanc starts and stops; the log is looked at this often anyway.
IDLE_SECONDS = 60.0
UNSTABLE_SECONDS = 5.0
STORE_SECONDS = 3600.0
JOB_POLL_SECONDS = 0.5
STOP_SECONDS = 3.0

# The node understood the request and will never take this series (bad UID, not acceptable).
FINAL_STATUSES = frozenset({400, 409, 413, 422})


class Later(Exception):
    """The series could not be handed over now; it is tried again."""


class Never(Exception):
    """The node refused this series for good."""


@dataclass(frozen=True)
class Settings:
    """The section "Segnode"; a key there is the field in camel case (`FirstRetrySeconds`)."""

    url: str  # of the node's REST API
    mode: str = "dicomweb"  # or "store"
    source: str = "orthanc"  # mode dicomweb: this Orthanc's name under [sources] of the node
    modality: str = "segnode"  # mode store: the node's name under DicomModalities of Orthanc
    timeout_seconds: float = 10.0
    first_retry_seconds: float = 2.0
    longest_retry_seconds: float = 60.0


def parse_settings(section: Any) -> Settings:
    """The settings in the configuration's section.

    Raises:
        ValueError: what is wrong, naming the key.
    """
    if not isinstance(section, dict):
        raise TypeError('the section "Segnode" must be an object: { "Url" : "http://..." }')
    known = {field.name.title().replace("_", ""): field for field in fields(Settings)}
    unknown = sorted(set(section) - set(known))
    if unknown:
        raise ValueError(f"{unknown[0]} is unknown; known are {', '.join(known)}")
    values: dict[str, Any] = {}
    for key, value in section.items():
        field = known[key]
        if field.type is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{key} must be a number of seconds above 0, it is {value!r}")
            values[field.name] = float(value)
        elif isinstance(value, str) and value:
            values[field.name] = value
        else:
            raise ValueError(f"{key} must be a text, it is {value!r}")
    url = values.get("url", "").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ValueError('Url must name the node, for example "http://127.0.0.1:8080"')
    settings = Settings(**{**values, "url": url})
    if settings.mode not in {"dicomweb", "store"}:
        raise ValueError(f'Mode must be "dicomweb" or "store", it is "{settings.mode}"')
    return settings


@dataclass(frozen=True)
class CtSeries:
    """A stable CT series of this Orthanc."""

    orthanc_id: str
    study_instance_uid: str
    series_instance_uid: str


def get(path: str) -> Any:
    """The JSON answer of Orthanc's own REST API; None where the resource is gone."""
    try:
        return json.loads(orthanc.RestApiGet(path))
    except orthanc.OrthancException:
        return None


def ct_series(orthanc_id: str, series: dict[str, Any]) -> CtSeries | None:
    """The series for the node, None when it is no CT image series or our own result."""
    tags = series["MainDicomTags"]
    if tags.get("Modality", "").strip() != "CT":
        return None
    if not any(sop_class(instance) in CT_SOP_CLASSES for instance in series["Instances"]):
        return None
    if tags.get("Manufacturer", "").strip() == OWN_MANUFACTURER:
        model_name = text(f"/instances/{series['Instances'][0]}/content/0008-1090")
        if model_name == OWN_MODEL_NAME:
            return None
    study = get(f"/series/{orthanc_id}/study")
    if study is None:
        return None
    return CtSeries(
        orthanc_id, study["MainDicomTags"]["StudyInstanceUID"], tags["SeriesInstanceUID"]
    )


def sop_class(instance_id: str) -> str:
    """The SOP class of an instance, as Orthanc noted it when it came in; empty when unknown."""
    return text(f"/instances/{instance_id}/metadata/SopClassUid")


def text(path: str) -> str:
    """The plain text that Orthanc's own REST API answers; empty where there is none."""
    try:
        return orthanc.RestApiGet(path).decode("utf-8", "replace").strip("\0 ")
    except orthanc.OrthancException:
        return ""


def post(url: str, body: dict[str, str], timeout_s: float) -> tuple[int, str]:
    """POST JSON to the node: the status and the text of its answer.

    Raises:
        OSError: there was no answer.
    """
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    try:
        import requests
    except ImportError:  # Debian's Orthanc does not bring it
        return post_by_urllib(url, data, headers, timeout_s)
    answer = requests.post(url, data=data, headers=headers, timeout=timeout_s)
    return answer.status_code, answer.text


def post_by_urllib(
    url: str, data: bytes, headers: dict[str, str], timeout_s: float
) -> tuple[int, str]:
    """The same with the standard library alone. Raises as `post`."""
    request = urllib.request.Request(url, data, headers)  # noqa: S310 http(s) by parse_settings
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:  # noqa: S310 as above
            return reply.status, reply.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error


def call_node(settings: Settings, path: str, body: dict[str, str]) -> None:
    """POST to the node and be content with a 2xx answer.

    Raises:
        Later: no answer, or one that can change (node starting, its configuration wrong).
        Never: the node refuses this series.
    """
    try:
        status, answer = post(settings.url + path, body, settings.timeout_seconds)
    except OSError as error:
        raise Later(f"no answer from {settings.url}: {error}") from error
    if status in FINAL_STATUSES:
        raise Never(f"{settings.url}{path} answered {status}: {answer[:300]}")
    if not 200 <= status < 300:
        raise Later(f"{settings.url}{path} answered {status}: {answer[:300]}")


def send_by_dicomweb(settings: Settings, series: CtSeries) -> None:
    """Have the node fetch the series from this Orthanc by WADO-RS. Raises as `call_node`."""
    body = {
        "source": settings.source,
        "study_instance_uid": series.study_instance_uid,
        "series_instance_uid": series.series_instance_uid,
    }
    call_node(settings, "/api/retrieve", body)


def send_by_store(settings: Settings, series: CtSeries, stopping: threading.Event) -> None:
    """C-STORE the series to the node by a job of Orthanc, then have the node start on it.

    Raises:
        Later: the job failed, or Orthanc is stopping.
    """
    body = {"Resources": [series.orthanc_id], "Synchronous": False}
    try:
        answer = orthanc.RestApiPost(f"/modalities/{settings.modality}/store", json.dumps(body))
    except orthanc.OrthancException as error:
        raise Later(f"Orthanc does not store to {settings.modality!r}: {error}") from error
    job_id = json.loads(answer)["ID"]
    end = time.monotonic() + STORE_SECONDS
    while not stopping.wait(JOB_POLL_SECONDS) and time.monotonic() < end:
        job = get(f"/jobs/{job_id}")
        if job is None or job["State"] == "Failure":
            reason = "it is gone" if job is None else job.get("ErrorDescription", "")
            raise Later(f"Orthanc's C-STORE job to {settings.modality!r} failed: {reason}")
        if job["State"] == "Success":
            break
    else:
        raise Later("Orthanc's C-STORE job did not end")
    try:
        call_node(settings, f"/api/series/{series.series_instance_uid}/start", {})
    except (Later, Never) as error:
        # The node has the series and begins by itself after its quiet time.
        orthanc.LogWarning(f"segnode: {series.series_instance_uid} is stored; {error}")


@dataclass
class Open:
    """A series of the log that is not settled yet."""

    sequence: int  # of its first unsettled change
    due: float = 0.0  # monotonic seconds
    failures: int = 0


class Worker(threading.Thread):
    """Reads the log of changes and hands over each stable CT series, one after the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="segnode", daemon=True)
        self._settings = settings
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._open: dict[str, Open] = {}
        self._read = 0  # sequence number up to which the log was read
        self._kept = -1  # the place in Orthanc's database

    def wake(self) -> None:
        """Look at the log now."""
        self._wake.set()

    def stop(self) -> None:
        """End soon; what is not settled is found again at the next start of Orthanc."""
        self._stopping.set()
        self._wake.set()
        self.join(STOP_SECONDS)

    def run(self) -> None:
        """Go on until `stop`, whatever happens."""
        started = False
        while not self._stopping.is_set():
            self._wake.clear()
            pause = IDLE_SECONDS
            try:
                if not started:
                    self._load_position()
                    started = True
                self._read_log()
                self._settle()
                self._keep_position()
                pause = self._seconds_until_due()
            except Exception as error:  # noqa: BLE001 the last guard: Orthanc must stay well
                orthanc.LogError(f"segnode: {error!r}; going on in {pause:g} s")
            self._wake.wait(pause)

    def _load_position(self) -> None:
        kept = orthanc.GetGlobalProperty(POSITION_PROPERTY, "")
        if kept.isdigit():
            self._read = self._kept = int(kept)
            return
        # The first start ever: what the archive already holds is not sent.
        self._read = int(get("/changes?last")["Last"])
        self._keep_position()

    def _keep_position(self) -> None:
        place = min((entry.sequence - 1 for entry in self._open.values()), default=self._read)
        if place != self._kept:
            orthanc.SetGlobalProperty(POSITION_PROPERTY, str(place))
            self._kept = place

    def _read_log(self) -> None:
        while len(self._open) < MAX_OPEN:
            page = get(f"/changes?since={self._read}&limit={CHANGES_PER_PAGE}")
            for change in page["Changes"]:
                sequence = int(change["Seq"])
                # A series whose stable event a restart of Orthanc has swallowed is known by
                # its first event alone.
                if change["ChangeType"] in {"NewSeries", "StableSeries"}:
                    earlier = self._open.get(change["ID"])
                    self._open[change["ID"]] = Open(earlier.sequence if earlier else sequence)
                self._read = max(self._read, sequence)
            if page["Done"] or not page["Changes"]:
                return

    def _settle(self) -> None:
        """One try for each series that is due."""
        for orthanc_id, entry in list(self._open.items()):
            if self._stopping.is_set():
                return
            if entry.due > time.monotonic():
                continue
            series = get(f"/series/{orthanc_id}")
            if series is not None and not series["IsStable"]:
                entry.due = time.monotonic() + UNSTABLE_SECONDS
                continue
            ct = None if series is None else ct_series(orthanc_id, series)
            if ct is None or self._sent(ct, entry):
                del self._open[orthanc_id]

    def _sent(self, series: CtSeries, entry: Open) -> bool:
        """Whether the series is settled: handed over, or refused for good."""
        settings = self._settings
        try:
            if settings.mode == "store":
                send_by_store(settings, series, self._stopping)
            else:
                send_by_dicomweb(settings, series)
        except Never as error:
            orthanc.LogError(f"segnode: series {series.series_instance_uid} is refused: {error}")
            return True
        except Later as error:
            delay = min(
                settings.first_retry_seconds * 2.0 ** min(entry.failures, 30),
                settings.longest_retry_seconds,
            )
            # One warning for each series is enough, however long the node is down.
            log = orthanc.LogInfo if entry.failures else orthanc.LogWarning
            log(f"segnode: series {series.series_instance_uid} waits {delay:g} s: {error}")
            entry.failures += 1
            entry.due = time.monotonic() + delay
            return False
        log = orthanc.LogWarning if entry.failures else orthanc.LogInfo
        log(f"segnode: series {series.series_instance_uid} is handed over")
        return True

    def _seconds_until_due(self) -> float:
        now = time.monotonic()
        return min((max(0.0, e.due - now) for e in self._open.values()), default=IDLE_SECONDS)


def install() -> None:
    """Register with Orthanc; a wrong setting leaves Orthanc running without the hook."""
    section = json.loads(orthanc.GetConfiguration()).get("Segnode")
    try:
        settings = parse_settings(section)
    except (TypeError, ValueError) as error:
        orthanc.LogError(f'segnode: no series is sent: configuration, section "Segnode": {error}')
        return
    worker = Worker(settings)

    def on_change(change: int, level: int, resource_id: str) -> None:
        if change == orthanc.ChangeType.STABLE_SERIES:
            worker.wake()
        elif change == orthanc.ChangeType.ORTHANC_STARTED:
            worker.start()
        elif change == orthanc.ChangeType.ORTHANC_STOPPED:
            worker.stop()

    orthanc.RegisterOnChangeCallback(on_change)
    orthanc.LogWarning(f"segnode: stable CT series go to {settings.url}, mode {settings.mode}")


install()
