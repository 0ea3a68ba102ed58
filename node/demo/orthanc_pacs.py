"""An Orthanc server on loopback, used as PACS by the demonstration and the tests."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from node.demo.free_ports import free_ports
from node.domain.errors import Misconfigured

INSTALL_COMMAND = "apt install orthanc orthanc-dicomweb orthanc-python"
_PLUGIN_FOLDERS = (Path("/usr/share/orthanc/plugins"), Path("/usr/local/share/orthanc/plugins"))
_DICOMWEB = "libOrthancDicomWeb.so"
_PYTHON = "libOrthancPython.so"

# Orthanc starts within 0.5 s and stops within 2 s on an idle machine; both take longer under load.
_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 20.0
_POLL_SECONDS = 0.05
_RESPONSE_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Modality:
    """An entry of Orthanc's `DicomModalities`."""

    ae_title: str
    host: str
    port: int


def orthanc_missing() -> str:
    """Returns what is not installed and how to install it; empty if Orthanc can start."""
    if _program() is None:
        return f"Orthanc is not installed: {INSTALL_COMMAND}"
    missing = [name for name in (_DICOMWEB, _PYTHON) if _plugin(name) is None]
    if missing:
        return f"Orthanc's {' and '.join(missing)} is not installed: {INSTALL_COMMAND}"
    return ""


class OrthancPacs:
    """One Orthanc server with its files in `folder`; the context manager starts and stops it.

    Ports default to free ones and stay the same after a restart. HTTP answers on loopback only.
    With `modalities`, only these AE titles from these hosts may store or query; without, every AE
    title may store. `configuration` overrides the generated settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "ORTHANC",
        dicom_port: int | None = None,
        http_port: int | None = None,
        modalities: Mapping[str, Modality] | None = None,
        python_script: Path | None = None,
        configuration: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self.ae_title = ae_title
        free = free_ports(2)
        self.dicom_port = free[0] if dicom_port is None else dicom_port
        self.http_port = free[1] if http_port is None else http_port
        self.modalities = dict(modalities or {})
        self._python_script = python_script
        self._configuration_overrides = dict(configuration or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The REST API and Orthanc Explorer, without a trailing slash."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """The root of QIDO-RS, WADO-RS and STOW-RS, without a trailing slash."""
        return f"{self.url}/dicom-web"

    @property
    def log_file(self) -> Path:
        """Orthanc's log of all its runs."""
        return self.folder / "orthanc.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts Orthanc and returns when it answers.

        Raises:
            Misconfigured: Orthanc is not installed, exited at its start, or did not answer.
        """
        missing = orthanc_missing()
        program = _program()
        if missing or program is None:
            raise Misconfigured(missing)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "orthanc.json"
        file.write_text(json.dumps(self._configuration(), indent=2), encoding="utf-8")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [program, str(file)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops Orthanc if it runs; returns when the process has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Kills Orthanc, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def get(self, path: str) -> Any:
        """Returns the JSON response to GET `path` (with its leading slash) of the REST API."""
        return self._request("GET", path).json()

    def post(self, path: str, body: object) -> Any:
        """Posts `body` as JSON to `path`; returns the JSON response."""
        return self._request("POST", path, json.dumps(body).encode()).json()

    def upload(self, file: Path) -> str:
        """Uploads one Part 10 file by REST; returns Orthanc's identifier of its series."""
        response = self._request("POST", "/instances", file.read_bytes()).json()
        return str(response["ParentSeries"])

    def find_series(self, study_instance_uid: str, modality: str) -> list[Any]:
        """Returns Orthanc's records of the study's series of one modality ("CT", "SEG")."""
        query = {"StudyInstanceUID": study_instance_uid, "Modality": modality}
        found = self.post("/tools/find", {"Level": "Series", "Query": query, "Expand": True})
        return list(found)

    def file_of_instance(self, orthanc_id: str) -> bytes:
        """Returns the Part 10 file of one instance, by Orthanc's identifier."""
        return self._request("GET", f"/instances/{orthanc_id}/file").content

    def _request(self, method: str, path: str, body: bytes | None = None) -> requests.Response:
        """Sends one request.

        Raises:
            OSError: no response, or an error status (`requests.HTTPError`).
        """
        with requests.Session() as session:
            # A proxy named by the environment does not lead to loopback.
            session.trust_env = False
            response = session.request(
                method, self.url + path, data=body, timeout=_RESPONSE_TIMEOUT_SECONDS
            )
        response.raise_for_status()
        return response

    def _configuration(self) -> dict[str, object]:
        """Returns the content of Orthanc's configuration file."""
        restricted = bool(self.modalities)
        plugins = [_plugin(_DICOMWEB)]
        settings: dict[str, object] = {
            "Name": "segnode",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": not restricted,
            "DicomCheckModalityHost": restricted,
            "DicomModalities": {
                name: [m.ae_title, m.host, m.port] for name, m in self.modalities.items()
            },
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "StableAge": 2,
        }
        if self._python_script is not None:
            plugins.append(_plugin(_PYTHON))
            settings["PythonScript"] = str(self._python_script)
        settings["Plugins"] = [str(plugin) for plugin in plugins]
        return settings | self._configuration_overrides

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        pause = threading.Event()
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Misconfigured(
                    f"Orthanc exited at its start with status {process.returncode}: "
                    f"{self._last_error()}",
                    file=self.log_file,
                )
            try:
                self.get("/system")
            except OSError as error:
                if _asks_for_password(error):
                    return
                pause.wait(_POLL_SECONDS)
            else:
                return
        raise Misconfigured(
            f"Orthanc did not answer at {self.url} within {_START_TIMEOUT_SECONDS:g} s",
            file=self.log_file,
        )

    def _last_error(self) -> str:
        """Returns the last error line of the log, or its last line if there is no error."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line for line in lines if line.startswith("E")]
        return (errors or lines or ["the log is empty"])[-1]


def _asks_for_password(error: OSError) -> bool:
    return (
        isinstance(error, requests.HTTPError)
        and error.response is not None
        and error.response.status_code == HTTPStatus.UNAUTHORIZED
    )


def _program() -> str | None:
    # Debian installs it in /usr/sbin, which is not on an ordinary user's PATH.
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


def _plugin(name: str) -> Path | None:
    files = (folder / name for folder in _PLUGIN_FOLDERS)
    return next((file for file in files if file.exists()), None)
