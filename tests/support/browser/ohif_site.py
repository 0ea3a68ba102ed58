"""The OHIF viewer in front of a PACS: its files and the PACS's DICOMweb under one origin."""

import base64
import fcntl
import hashlib
import json
import shutil
import subprocess
import tarfile
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from node.demo.free_ports import free_ports
from tests.support.waiting import until

_ROOT = Path(__file__).resolve().parents[3]
_CACHE = _ROOT / ".ohif"
_OHIF = _ROOT / "deploy" / "ohif"
_SHARED = _ROOT / "node" / "web" / "viewer" / "ohif" / "reports-as-text.js"

# Without these two headers the browser gives OHIF no SharedArrayBuffer, and volumes fail.
_ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_DOWNLOAD_SECONDS = 600
_PACS_SECONDS = 120


def ohif_files() -> Path:
    """Returns the folder of OHIF's built files; npm downloads them once; skips without npm.

    The version and the digest of the package are those of `deploy/ohif/package.json`.
    """
    package = json.loads((_OHIF / "package.json").read_text(encoding="utf-8"))
    version: str = package["dependencies"]["@ohif/app"]
    unpacked = _CACHE / version
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "download.lock").open("wb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # tests in other processes may unpack it at the same time
        if not unpacked.is_dir():
            npm = shutil.which("npm")
            if npm is None:
                pytest.skip("npm is not installed; it downloads OHIF: apt install npm")
            archive = _download(npm, version)
            _verify(archive, package["config"]["integrity"])
            _unpack(archive, unpacked)
    return unpacked / "package" / "dist"


def _download(npm: str, version: str) -> Path:
    command = [npm, "pack", f"@ohif/app@{version}", "--json", "--pack-destination", str(_CACHE)]
    answer = subprocess.run(
        command, cwd=_CACHE, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
    )
    assert answer.returncode == 0, f"npm could not download OHIF: {answer.stderr}"
    return _CACHE / str(json.loads(answer.stdout)[0]["filename"])


def _verify(archive: Path, integrity: str) -> None:
    """Compares the archive with an npm integrity string `sha512-BASE64`."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == integrity, f"{archive} is not what deploy/ohif/package.json names"


def _unpack(archive: Path, folder: Path) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(part, filter="data")
    archive.unlink()
    part.rename(folder)


class OhifSite(AbstractContextManager["OhifSite"]):
    """Serves OHIF on a free loopback port within its `with` block."""

    def __init__(self, files: Path, dicomweb_url: str) -> None:
        self._files = files.resolve()
        self._pacs = httpx.Client(base_url=dicomweb_url, timeout=_PACS_SECONDS, trust_env=False)
        self._port = free_ports(1)[0]
        app = Starlette(
            routes=[
                Route("/dicom-web/{path:path}", self._forward, methods=["GET", "POST"]),
                Route("/{path:path}", self._file),
            ]
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=self._port,
                log_level="warning",
                ws="none",
                lifespan="off",
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        """The site's origin."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, 30, "the web server of OHIF to start")
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self._pacs.close()

    async def _forward(self, request: Request) -> Response:
        """Forwards the request to the PACS."""
        path = f"{request.path_params['path']}?{request.url.query}".rstrip("?")
        # With the browser's Host, the PACS writes URLs of this site into metadata.
        forwarded = {"accept", "content-type", "host"}
        headers = {k: v for k, v in request.headers.items() if k in forwarded}
        body = await request.body()
        answer = await run_in_threadpool(
            self._pacs.request, request.method, path, headers=headers, content=body
        )
        kept = {"content-type": answer.headers.get("content-type", "application/json")}
        return Response(answer.content, answer.status_code, kept | _ISOLATION)

    async def _file(self, request: Request) -> Response:
        """Returns a file of OHIF, our configuration, or the page for its client-side routes."""
        name = request.path_params["path"]
        if name == "app-config.js":
            script = f"{_SHARED.read_text('utf-8')}\n{(_OHIF / name).read_text('utf-8')}"
            return Response(script, media_type="text/javascript", headers=_ISOLATION)
        file = (self._files / name).resolve()
        if not (file.is_file() and file.is_relative_to(self._files)):
            file = self._files / "index.html"
        return FileResponse(file, headers=_ISOLATION)
