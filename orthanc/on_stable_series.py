"""Reports every CT series and segmentation that has become stable in this Orthanc to segnode.

Orthanc's Python plugin runs this file ("PythonScript" in Orthanc's configuration); the section
"Segnode" of that configuration holds its settings, see README.md beside this file.

Orthanc's log of changes is the queue. A thread reads it from the position up to which every series
is finished, and stores that position in Orthanc's database. If the node is down, or Orthanc is
restarted or killed, a series is delayed but not lost, and memory stays bounded. The callback only
wakes the thread, so Orthanc never waits for the node.
"""

import http.client
import json
import re
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orthanc

# Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090) of segnode's results, which are
# never sent back. Its phantoms have another model name and may be sent.
OWN_MANUFACTURER = "segnode"
OWN_MODEL_NAME = "segnode"

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation Storage
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation Storage
    }
)

# A key in Orthanc's table of global properties; plugins use 1024 and above.
POSITION_PROPERTY = 24310

# Pending series in memory; while the node is down, the others wait in Orthanc's log.
MAX_PENDING = 500
CHANGES_PER_PAGE = 500
# A wake-up can be lost while Orthanc starts or stops, so the log is read at least this often.
IDLE_SECONDS = 60.0
UNSTABLE_SECONDS = 5.0
STORE_SECONDS = 3600.0
JOB_POLL_SECONDS = 0.5
STOP_SECONDS = 3.0

# As `segnode tokens create` prints it.
TOKEN = re.compile(r"segnode_[A-Za-z0-9_-]+")

# The node understood the request and refuses this series for good (invalid UID, not acceptable).
FINAL_STATUSES = frozenset({400, 409, 413, 422})


class TemporaryFailure(Exception):
    """The series could not be sent now; it is retried."""


class PermanentFailure(Exception):
    """The node refused this series for good."""


@dataclass(frozen=True)
class Settings:
    """The section "Segnode"; its keys are these fields in camel case (`FirstRetrySeconds`)."""

    url: str  # of the node's REST API
    mode: str = "dicomweb"  # or "store"
    source: str = "orthanc"  # mode dicomweb: name of this Orthanc under [sources] of the node
    modality: str = "segnode"  # mode store: name of the node under DicomModalities of Orthanc
    token_file: str = ""  # a file with the token for the node, read for each request
    timeout_seconds: float = 10.0
    first_retry_seconds: float = 2.0
    longest_retry_seconds: float = 60.0


def parse_settings(section: Any) -> Settings:
    """Returns the settings in the section of the configuration.

    Raises:
        TypeError: the section is not an object.
        ValueError: a setting is invalid; the message names the key.
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
    """A stable series of CT images or segmentations of this Orthanc."""

    orthanc_id: str
    study_instance_uid: str
    series_instance_uid: str


def get(path: str) -> Any:
    """Returns the JSON answer of Orthanc's REST API; None where the resource does not exist."""
    try:
        return json.loads(orthanc.RestApiGet(path))
    except orthanc.OrthancException:
        return None


def ct_series(orthanc_id: str, series: dict[str, Any]) -> CtSeries | None:
    """Returns the series to send: CT images, or a segmentation that is no result of segnode."""
    tags = series["MainDicomTags"]
    if tags.get("Modality", "").strip() not in {"CT", "SEG"}:
        return None
    if not any(sop_class(instance) in SOP_CLASSES for instance in series["Instances"]):
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
    """Returns the SOP class of an instance from Orthanc's metadata; empty where unknown."""
    return text(f"/instances/{instance_id}/metadata/SopClassUid")


def text(path: str) -> str:
    """Returns the text answer of Orthanc's REST API; empty where there is none."""
    try:
        return orthanc.RestApiGet(path).decode("utf-8", "replace").strip("\0 ")
    except orthanc.OrthancException:
        return ""


def post(url: str, body: dict[str, str], timeout_s: float, token: str) -> tuple[int, str]:
    """Posts JSON to the node, with the token if there is one; follows no redirect.

    Returns the status and the text of the answer.

    Raises:
        OSError: there was no answer.
    """
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        import requests
    except ImportError:  # not installed with Debian's Orthanc
        return post_by_urllib(url, data, headers, timeout_s)

    def keep_headers(request: Any) -> Any:  # otherwise a .netrc could replace the token
        return request

    answer = requests.post(
        url,
        data=data,
        headers=headers,
        timeout=timeout_s,
        auth=keep_headers,
        allow_redirects=False,
    )
    return answer.status_code, answer.text


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect to the caller: another server must not get the token."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Returns no request, so that the redirect is the answer."""


def post_by_urllib(
    url: str, data: bytes, headers: dict[str, str], timeout_s: float
) -> tuple[int, str]:
    """Does the same with the standard library only. Raises as `post`."""
    request = urllib.request.Request(url, data, headers)  # noqa: S310 http(s) by parse_settings
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=timeout_s) as reply:
            return reply.status, reply.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error


def token_of(settings: Settings) -> str:
    """Returns the token for the node; empty where the settings name no file.

    Raises:
        TemporaryFailure: the file cannot be read, or holds no token; its text is not repeated.
    """
    if not settings.token_file:
        return ""
    try:
        token = Path(settings.token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise TemporaryFailure(f"TokenFile {settings.token_file} is not readable") from None
    if not TOKEN.fullmatch(token):
        raise TemporaryFailure(f"TokenFile {settings.token_file} holds no token of segnode")
    return token


def call_node(settings: Settings, path: str, body: dict[str, str]) -> None:
    """Posts to the node and requires a 2xx answer.

    Raises:
        TemporaryFailure: no answer, or one that can change (node starting, wrong configuration).
        PermanentFailure: the node refuses this series.
    """
    token = token_of(settings)
    try:
        status, answer = post(settings.url + path, body, settings.timeout_seconds, token)
    except OSError as error:
        raise TemporaryFailure(f"no answer from {settings.url}: {error}") from error
    if status in FINAL_STATUSES:
        raise PermanentFailure(f"{settings.url}{path} answered {status}: {answer[:300]}")
    if not 200 <= status < 300:
        raise TemporaryFailure(f"{settings.url}{path} answered {status}: {answer[:300]}")


def send_by_dicomweb(settings: Settings, series: CtSeries) -> None:
    """Makes the node retrieve the series from this Orthanc by WADO-RS. Raises as `call_node`."""
    body = {
        "source": settings.source,
        "study_instance_uid": series.study_instance_uid,
        "series_instance_uid": series.series_instance_uid,
    }
    call_node(settings, "/api/retrieve", body)


def send_by_store(settings: Settings, series: CtSeries, stopping: threading.Event) -> None:
    """Sends the series to the node by a C-STORE job of Orthanc, then requests its start.

    Raises:
        TemporaryFailure: the job failed, or Orthanc is stopping.
    """
    body = {"Resources": [series.orthanc_id], "Synchronous": False}
    try:
        answer = orthanc.RestApiPost(f"/modalities/{settings.modality}/store", json.dumps(body))
    except orthanc.OrthancException as error:
        raise TemporaryFailure(
            f"Orthanc does not store to {settings.modality!r}: {error}"
        ) from error
    job_id = json.loads(answer)["ID"]
    deadline = time.monotonic() + STORE_SECONDS
    while not stopping.wait(JOB_POLL_SECONDS) and time.monotonic() < deadline:
        job = get(f"/jobs/{job_id}")
        if job is None or job["State"] == "Failure":
            reason = "it is gone" if job is None else job.get("ErrorDescription", "")
            raise TemporaryFailure(
                f"Orthanc's C-STORE job to {settings.modality!r} failed: {reason}"
            )
        if job["State"] == "Success":
            break
    else:
        raise TemporaryFailure("Orthanc's C-STORE job did not end")
    try:
        call_node(settings, f"/api/series/{series.series_instance_uid}/start", {})
    except (TemporaryFailure, PermanentFailure) as error:
        # The node has the series and starts without the request after its quiet time.
        orthanc.LogWarning(f"segnode: {series.series_instance_uid} is stored; {error}")


@dataclass
class PendingSeries:
    """A series of the log that is not finished yet."""

    sequence: int  # of its first unfinished change
    due: float = 0.0  # monotonic seconds
    failures: int = 0


class Worker(threading.Thread):
    """Reads the log of changes and sends each stable CT series, one after the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="segnode", daemon=True)
        self._settings = settings
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pending: dict[str, PendingSeries] = {}
        self._read = 0  # sequence number up to which the log has been read
        self._saved = -1  # the position in Orthanc's database

    def wake(self) -> None:
        """Makes the thread read the log now."""
        self._wake.set()

    def stop(self) -> None:
        """Stops the thread; unfinished series are found again at the next start of Orthanc."""
        self._stopping.set()
        self._wake.set()
        self.join(STOP_SECONDS)

    def run(self) -> None:
        """Processes the log until `stop`; an error is logged and does not end the thread."""
        started = False
        while not self._stopping.is_set():
            self._wake.clear()
            pause = IDLE_SECONDS
            try:
                if not started:
                    self._load_position()
                    started = True
                self._read_log()
                self._send_due()
                self._save_position()
                pause = self._seconds_until_due()
            except Exception as error:  # noqa: BLE001 last resort: an error must not affect Orthanc
                orthanc.LogError(f"segnode: {error!r}; continues in {pause:g} s")
            self._wake.wait(pause)

    def _load_position(self) -> None:
        saved = orthanc.GetGlobalProperty(POSITION_PROPERTY, "")
        if saved.isdigit():
            self._read = self._saved = int(saved)
            return
        # The first start: series that the archive already has are not sent.
        self._read = int(get("/changes?last")["Last"])
        self._save_position()

    def _save_position(self) -> None:
        position = min((entry.sequence - 1 for entry in self._pending.values()), default=self._read)
        if position != self._saved:
            orthanc.SetGlobalProperty(POSITION_PROPERTY, str(position))
            self._saved = position

    def _read_log(self) -> None:
        while len(self._pending) < MAX_PENDING:
            page = get(f"/changes?since={self._read}&limit={CHANGES_PER_PAGE}")
            for change in page["Changes"]:
                sequence = int(change["Seq"])
                # Where a restart of Orthanc has lost the event StableSeries, only NewSeries
                # makes the series known.
                if change["ChangeType"] in {"NewSeries", "StableSeries"}:
                    earlier = self._pending.get(change["ID"])
                    self._pending[change["ID"]] = PendingSeries(
                        earlier.sequence if earlier else sequence
                    )
                self._read = max(self._read, sequence)
            if page["Done"] or not page["Changes"]:
                return

    def _send_due(self) -> None:
        """Attempts to send each series that is due."""
        for orthanc_id, entry in list(self._pending.items()):
            if self._stopping.is_set():
                return
            if entry.due > time.monotonic():
                continue
            series = get(f"/series/{orthanc_id}")
            if series is not None and not series["IsStable"]:
                entry.due = time.monotonic() + UNSTABLE_SECONDS
                continue
            ct = None if series is None else ct_series(orthanc_id, series)
            if ct is None or self._send(ct, entry):
                del self._pending[orthanc_id]

    def _send(self, series: CtSeries, entry: PendingSeries) -> bool:
        """Sends a series; returns whether it is finished: sent, or refused for good."""
        settings = self._settings
        try:
            if settings.mode == "store":
                send_by_store(settings, series, self._stopping)
            else:
                send_by_dicomweb(settings, series)
        except PermanentFailure as error:
            orthanc.LogError(f"segnode: series {series.series_instance_uid} is refused: {error}")
            return True
        except TemporaryFailure as error:
            delay = min(
                settings.first_retry_seconds * 2.0 ** min(entry.failures, 30),
                settings.longest_retry_seconds,
            )
            # One warning for each series, however long the node is down.
            log = orthanc.LogInfo if entry.failures else orthanc.LogWarning
            log(f"segnode: series {series.series_instance_uid} waits {delay:g} s: {error}")
            entry.failures += 1
            entry.due = time.monotonic() + delay
            return False
        log = orthanc.LogWarning if entry.failures else orthanc.LogInfo
        log(f"segnode: series {series.series_instance_uid} is sent")
        return True

    def _seconds_until_due(self) -> float:
        now = time.monotonic()
        return min((max(0.0, e.due - now) for e in self._pending.values()), default=IDLE_SECONDS)


def install() -> None:
    """Registers with Orthanc; with an invalid setting, Orthanc runs without the hook."""
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
