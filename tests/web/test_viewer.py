"""Links to viewers on the series page, and OHIF as the node serves it."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from node.web.viewer.ohif_installation import VERSION, install_viewer
from tests.support.browser.ohif_site import ohif_files
from tests.support.browser.slice_viewer_page import add_result
from tests.support.browser.viewer_page import TIMEOUT_MS, ImagePlane, ViewerPage, coloured
from tests.support.dicom.body import grid, in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, ct_series
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.waiting import until

pytestmark = pytest.mark.webgl
_MIN_OVERLAP = 0.95  # as in test_ohif_on_node.py
_RENDER_SECONDS = 120
_URL = "https://pacs.example/viewer?study={study}&series={series}"


def test_the_series_page_links_to_the_viewer_of_the_site(tmp_path: Path) -> None:
    with served_node(tmp_path, f'[web]\nviewer_url = "{_URL}"\n') as node:
        series = node.receive(small_ct(), tmp_path / "ct")
        page = httpx.get(f"{node.url}/series/{series.series_instance_uid}").text
    url = _URL.format(study=series.study_instance_uid, series=series.series_instance_uid)
    assert f'href="{url.replace("&", "&amp;")}">Open in the site’s viewer' in page
    assert "OHIF" not in page


def test_without_installation_the_viewer_says_how_to_install_it(node: ServedNode) -> None:
    answer = httpx.get(f"{node.url}/viewer/")
    assert answer.status_code == 404
    assert "segnode viewer install" in answer.text


@pytest.fixture
def installed(node: ServedNode) -> Path:
    """A folder in place of OHIF's installation."""
    folder = node.settings.data_dir / "viewer" / VERSION
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<p>OHIF</p>", encoding="utf-8")
    (folder / "app.bundle.0123456789abcdef.js").write_text("1", encoding="utf-8")
    (folder / "codec.wasm").write_bytes(b"\0asm")
    return folder


def test_only_the_viewer_has_a_policy_that_allows_what_it_needs(
    node: ServedNode, installed: Path
) -> None:
    def policy(path: str) -> str:
        return httpx.get(f"{node.url}{path}").headers["content-security-policy"]

    assert "'unsafe-eval'" in policy("/viewer/")
    for path in ("/", "/node", "/static/console.js", "/dicom-web/studies"):
        assert "unsafe" not in policy(path)


def test_the_viewer_gives_its_files_and_its_page_for_other_addresses(
    node: ServedNode, installed: Path
) -> None:
    def get(path: str) -> httpx.Response:
        return httpx.get(f"{node.url}/viewer{path}", follow_redirects=True)

    assert get("").text == get("/viewer?StudyInstanceUIDs=1").text == "<p>OHIF</p>"
    assert get("/codec.wasm").headers["content-type"] == "application/wasm"
    assert "immutable" in get("/app.bundle.0123456789abcdef.js").headers["cache-control"]
    assert get("/").headers["cache-control"] == "no-cache"
    configuration = get("/app-config.js")
    assert configuration.headers["content-type"].startswith("text/javascript")
    assert configuration.text.index("const reportsAsText") < configuration.text.index(
        "overlayAtOnce"
    )
    assert get("/missing.js").status_code == 404
    outside = node.settings.data_dir / "secret.txt"
    outside.write_text("secret", encoding="utf-8")
    assert "secret" not in get("/%2e%2e/%2e%2e/secret.txt").text


def test_ohif_opens_from_the_series_page_with_the_overlay_on_the_liver(
    page: Page, tmp_path: Path
) -> None:
    geometry = grid()
    slices = ct_series(geometry=geometry, seed="installed-viewer")
    liver = in_liver(voxel_positions(geometry))  # (slice, row, column)
    _, row_step, column_step, _ = geometry.affine[:3].T
    with served_node(tmp_path) as node:
        install_viewer(node.settings.data_dir, ohif_files())
        series = node.receive(slices, tmp_path / "ct")
        add_result(node, series)
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{node.url}/series/{series.series_instance_uid}")
        page.get_by_role("link", name="Open in OHIF").click()
        viewer = ViewerPage.opened(page)
        assert page.get_by_text("Skip all").count() == 0
        expect(page.get_by_text("Confirm and hide")).to_be_visible()
        page.get_by_text("Confirm and hide").click()

        def overlap() -> float:
            """Intersection over union on the slice that is shown."""
            shown = viewer.shown_in(0)
            index = next(k for k, d in enumerate(slices.datasets) if d.SOPInstanceUID in shown)
            origin = np.array(slices.datasets[index].ImagePositionPatient, float)
            expected = viewer.on_screen(liver[index], ImagePlane(origin, column_step, row_step))
            seen = coloured(viewer.picture(), LIVER.display_rgb)
            # Slices without the liver do not count: the overlay is visible at once.
            return float((seen & expected).sum() / max((seen | expected).sum(), 1))

        until(lambda: overlap() >= _MIN_OVERLAP, _RENDER_SECONDS, "the overlay on the liver")
