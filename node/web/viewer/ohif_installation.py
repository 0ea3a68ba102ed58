"""Installation of the OHIF viewer in the data folder, from the npm registry or a local copy.

The build of OHIF expects to be at the root of a web server. Installation changes its addresses, so
that the node can serve it below `/viewer/`.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from node.domain.errors import Rejected, RejectionReason, Transient

# The version with which segnode's results are tested, and its digest in the npm registry.
VERSION = "3.13.2"
_SHA512 = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
INTEGRITY = f"sha512-{_SHA512}"
PREFIX = "/viewer/"
_FOLDER = "viewer"
_PACKAGE = f"@ohif/app@{VERSION}"
_DOWNLOAD_SECONDS = 600
# Debug information, and the runtime of OHIF's tools for drawing, which needs 160 MB.
_LEFT_OUT = shutil.ignore_patterns(
    "*.map", "ort", "sw.js", "init-service-worker.js", "app-config.js"
)
_PUBLIC_PATH = '__webpack_require__.p = "/";'
_ADDRESS = re.compile(r'((?:href|src|content)=")/(?!/)')
_SERVICE_WORKER = re.compile(r"<script[^>]*init-service-worker[^>]*></script>")
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def installed_viewer(data_dir: Path) -> Path | None:
    """Returns the folder of the installed viewer; None if this version is not installed."""
    folder = _folder(data_dir)
    return folder if (folder / "index.html").is_file() else None


def install_viewer(data_dir: Path, source: Path | None) -> Path:
    """Installs OHIF and returns its folder; an earlier installation of this version is replaced.

    `source` is an archive that `npm pack` has made, or a folder with OHIF's built files; without
    it, npm downloads the archive.

    Raises:
        Rejected: npm is missing, or the source is not this version of OHIF.
        Transient: the download fails, or the data folder cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix="viewer-") as scratch:
            unpacked = _built_files(Path(scratch), source)
            adapted = Path(scratch) / "adapted"
            shutil.copytree(unpacked, adapted, ignore=_LEFT_OUT)
            _adapt(adapted)
            target = _folder(data_dir)
            target.parent.mkdir(exist_ok=True)
            if target.exists():
                target.rename(Path(scratch) / "replaced")
            adapted.rename(target)
            return target
    except OSError as error:
        message = f"the viewer cannot be installed in {data_dir}: {error.strerror}"
        raise Transient(message) from error


def _folder(data_dir: Path) -> Path:
    return data_dir / _FOLDER / VERSION


def _built_files(scratch: Path, source: Path | None) -> Path:
    """Returns the folder with OHIF's built files."""
    if source is not None and source.is_dir():
        for folder in (source, source / "dist", source / "package" / "dist"):
            if (folder / "index.html").is_file():
                return folder
        raise _unsuitable(f"{source} holds no index.html of OHIF")
    archive = _download(scratch) if source is None else source
    if not archive.is_file():
        raise _unsuitable(f"there is no file or folder {archive}")
    _verify(archive)
    with tarfile.open(archive) as tar:
        tar.extractall(scratch / "unpacked", filter="data")
    return scratch / "unpacked" / "package" / "dist"


def _download(scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise _unsuitable(
            "npm is not installed, which downloads OHIF. Install it (apt install npm), or run "
            f"`npm pack {_PACKAGE}` on another machine and give its file with --from"
        )
    command = [npm, "pack", _PACKAGE, "--json", "--pack-destination", str(scratch)]
    try:
        answer = subprocess.run(
            command,
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
            check=True,
        )
        return scratch / str(json.loads(answer.stdout)[0]["filename"])
    except subprocess.TimeoutExpired as error:
        raise _not_downloaded(f"no answer within {_DOWNLOAD_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr).strip().splitlines()
        raise _not_downloaded(lines[0] if lines else f"exit status {error.returncode}") from error
    except (ValueError, LookupError) as error:
        raise _not_downloaded("its answer cannot be read") from error


def _not_downloaded(why: str) -> Transient:
    return Transient(
        f"npm could not download {_PACKAGE}: {why}. Check the network and npm's proxy settings, or "
        f"run `npm pack {_PACKAGE}` on another machine and give its file with --from"
    )


def _verify(archive: Path) -> None:
    """Compares an archive with the digest of the tested version.

    Raises:
        Rejected: they differ.
    """
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise _unsuitable(f"{archive.name} is not the archive of {_PACKAGE}: its digest differs")


def _adapt(folder: Path) -> None:
    """Changes the addresses in OHIF's built files from the root to `/viewer/`."""
    found = False
    for script in folder.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        if _PUBLIC_PATH in text:
            found = True
            script.write_text(text.replace(_PUBLIC_PATH, f'__webpack_require__.p = "{PREFIX}";'))
    if not found:
        raise _unsuitable("the files are no build of OHIF that the node can serve")
    for style in folder.glob("*.css"):
        text = style.read_text(encoding="utf-8")
        style.write_text(text.replace("url(/", f"url({PREFIX}"), encoding="utf-8")
    page = folder / "index.html"
    page.write_text(_adapted_page(folder, page.read_text(encoding="utf-8")), encoding="utf-8")


def _adapted_page(folder: Path, html: str) -> str:
    """Returns OHIF's page without scripts in it, which the node's security policy forbids."""
    html = _SERVICE_WORKER.sub("", html)
    html = _ADDRESS.sub(rf"\1{PREFIX}", html)
    html = html.replace('PUBLIC_URL="/"', f'PUBLIC_URL="{PREFIX}"')
    for number, script in enumerate(_INLINE_SCRIPT.findall(html), start=1):
        name = f"inline-{number}.js"
        (folder / name).write_text(script, encoding="utf-8")
        html = html.replace(
            f"<script>{script}</script>", f'<script src="{PREFIX}{name}"></script>', 1
        )
    return html


def _unsuitable(message: str) -> Rejected:
    return Rejected(RejectionReason.INVALID_INSTANCE, message)
