"""Routes of the installed OHIF viewer: its files, its configuration and its page."""

import mimetypes
import re
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response

from node.web.dependencies import SiteSettings
from node.web.viewer.ohif_installation import PREFIX, installed_viewer

ROUTER = APIRouter(include_in_schema=False)
_SOURCES = Path(__file__).parent / "ohif"
_CONFIGURATION = ("reports-as-text.js", "app-config.js")  # in this order, as one file
_PAGE = "index.html"
# OHIF sets styles in elements, starts workers from blobs, and shows segmentations with a library
# (ndarray) that compiles functions from text.
_POLICY = (
    "default-src 'none'; script-src 'self' blob: 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; "
    "object-src 'self' blob:; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # Without these two, a browser gives OHIF no shared memory, and volumes fail.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
# Files whose name holds a digest never change.
_WITH_DIGEST = re.compile(r"[.-]?[0-9a-f]{16}\.")
_YEAR_SECONDS = 365 * 24 * 3600


@ROUTER.get("/viewer")
def viewer_root() -> Response:
    """Redirects to the viewer's list of studies."""
    return RedirectResponse(PREFIX)


@ROUTER.get("/viewer/{path:path}")
def viewer_file(path: str, settings: SiteSettings) -> Response:
    """Returns a file of OHIF, the node's configuration for it, or its page for other addresses."""
    folder = installed_viewer(settings.data_dir)
    if folder is None:
        message = "the OHIF viewer is not installed; `segnode viewer install` installs it"
        raise HTTPException(HTTPStatus.NOT_FOUND, message)
    if path == "app-config.js":
        return _configuration()
    file = (folder / path).resolve()
    if not (file.is_relative_to(folder.resolve()) and file.is_file()):
        if Path(path).suffix in {".js", ".css", ".wasm", ".map"}:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"the viewer has no file {path[:200]!r}")
        file = folder / _PAGE
    return _file(file)


def _configuration() -> Response:
    texts = [(_SOURCES / name).read_text("utf-8") for name in _CONFIGURATION]
    headers = _HEADERS | {"Cache-Control": "no-cache"}
    return Response("\n".join(texts), media_type="text/javascript", headers=headers)


def _file(file: Path) -> Response:
    never_changes = _WITH_DIGEST.search(file.name) is not None
    caching = f"max-age={_YEAR_SECONDS}, immutable" if never_changes else "no-cache"
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return FileResponse(file, media_type=media_type, headers=_HEADERS | {"Cache-Control": caching})
