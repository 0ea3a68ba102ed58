"""Installation of OHIF: what is taken, what is changed, and what a failure says."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from node.domain.errors import Rejected, Transient
from node.web.viewer.ohif_installation import (
    INTEGRITY,
    VERSION,
    install_viewer,
    installed_viewer,
)

ROOT = Path(__file__).parents[4]
PAGE = """<html><head><meta content="/assets/a.png"><script>window.PUBLIC_URL="/"</script>
<link href="/app.css" rel="stylesheet"><script src="/init-service-worker.js"></script>
<script defer src="/app.bundle.js"></script></head><body></body></html>"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A folder like OHIF's build."""
    folder = tmp_path / "package" / "dist"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    (folder / "app.bundle.js").write_text('a();\n__webpack_require__.p = "/";\nb();', "utf-8")
    (folder / "app.bundle.js.map").write_text("{}", "utf-8")
    (folder / "app.css").write_text("@font-face { src: url(/font.woff2) }", "utf-8")
    (folder / "app-config.js").write_text("window.config = {}", "utf-8")
    return folder


def test_a_build_is_changed_so_that_it_works_below_the_address_of_the_viewer(
    build: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    assert installed_viewer(data_dir) is None
    folder = install_viewer(data_dir, build.parents[1])
    assert installed_viewer(data_dir) == folder
    page = (folder / "index.html").read_text("utf-8")
    assert re.findall(r'(?:src|href|content)="([^"]*)"', page) == [
        "/viewer/assets/a.png",
        "/viewer/inline-1.js",
        "/viewer/app.css",
        "/viewer/app.bundle.js",
    ]
    assert (folder / "inline-1.js").read_text("utf-8") == 'window.PUBLIC_URL="/viewer/"'
    assert '__webpack_require__.p = "/viewer/";' in (folder / "app.bundle.js").read_text("utf-8")
    assert "url(/viewer/font.woff2)" in (folder / "app.css").read_text("utf-8")
    # The node has its own configuration; debug information is left out.
    names = {file.name for file in folder.iterdir()}
    assert names == {"index.html", "inline-1.js", "app.bundle.js", "app.css"}
    assert [entry.name for entry in data_dir.iterdir()] == ["viewer"]


def test_an_earlier_installation_is_replaced(build: Path, tmp_path: Path) -> None:
    folder = install_viewer(tmp_path, build)
    (folder / "old.js").touch()
    install_viewer(tmp_path, build)
    assert not (folder / "old.js").exists()


def test_an_archive_must_be_the_tested_version(build: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ohif.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(build, "package/dist")
    with pytest.raises(Rejected, match=rf"ohif.tgz is not the archive of @ohif/app@{VERSION}"):
        install_viewer(tmp_path / "data", archive)
    assert installed_viewer(tmp_path / "data") is None


@pytest.mark.parametrize("name", ["missing", "empty", "other"])
def test_what_is_no_build_of_ohif_is_refused(build: Path, tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    if name != "missing":
        source.mkdir()
    if name == "other":
        (source / "index.html").write_text("<html></html>", "utf-8")
    with pytest.raises(Rejected, match=r"no file or folder|no index\.html|no build of OHIF"):
        install_viewer(tmp_path / "data", source)
    assert list((tmp_path / "data").iterdir()) == []


def test_without_npm_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Rejected, match=r"npm is not installed.*--from"):
        install_viewer(tmp_path / "data", None)


def test_a_failed_download_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\necho 'npm error network getaddrinfo ENOTFOUND' >&2\nexit 1\n", "utf-8"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Transient, match=r"could not download.*ENOTFOUND.*--from"):
        install_viewer(tmp_path / "data", None)


def test_the_version_is_the_one_that_the_results_are_tested_with() -> None:
    package = json.loads((ROOT / "deploy/ohif/package.json").read_text("utf-8"))
    assert package["dependencies"]["@ohif/app"] == VERSION
    assert package["config"]["integrity"] == INTEGRITY
