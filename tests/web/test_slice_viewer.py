"""The slice viewer in a real browser: the overlay lies on the right slice, pixel by pixel."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pydicom import Dataset

from node.domain.identifiers import mint_uid
from node.domain.result_objects import SegEncoding
from node.domain.series import SeriesState, StoredSeries
from tests.support.browser.slice_viewer_page import SliceViewerPage, add_result, windowed
from tests.support.browser.viewer_page import coloured
from tests.support.dicom.body import FEET_FIRST, in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, SPLEEN, CtFiles, ct_series, enhanced_ct
from tests.support.dicom.source_slices import plane
from tests.support.servers.served_node import ServedNode, served_node

SLICES = 24


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node")) as served:
        yield served


@pytest.fixture(scope="module")
def axial(node: ServedNode, tmp_path_factory: pytest.TempPathFactory) -> CtFiles:
    """A series with a result of two organs; its image numbers run against the positions."""

    def reverse(index: int, dataset: Dataset) -> None:
        dataset.InstanceNumber = SLICES - index

    files = ct_series(seed="axial").modify(reverse)
    series = node.receive(files, tmp_path_factory.mktemp("axial"))
    add_result(node, series, labels=(LIVER, SPLEEN))
    return files


@pytest.fixture
def errors() -> list[str]:
    """The errors that the page has reported."""
    return []


@pytest.fixture
def page(browser: Browser, errors: list[str]) -> Iterator[Page]:
    """A page that fails the test after an error in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    expect.set_options(timeout=20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.set_default_timeout(20_000)
    yield page
    context.close()
    assert errors == []


def open_viewer(page: Page, node: ServedNode, files: CtFiles) -> SliceViewerPage:
    return SliceViewerPage(page, node, files.datasets[0].SeriesInstanceUID)


def without_position(_index: int, dataset: Dataset) -> None:
    del dataset.ImagePositionPatient


def ignore(node: ServedNode, series: StoredSeries) -> None:
    """Ignores the series, as if no rule matched."""
    uid = series.series_instance_uid
    now = datetime.now(UTC)
    ignored = SeriesState.IGNORED
    assert node.store.record_decision(uid, '{"matches": []}', ignored, now, series.instance_count)


def liver_on(files: CtFiles, sop_instance_uid: str) -> np.ndarray:
    """The true liver on that slice (row, column)."""
    image = next(d for d in files.datasets if d.SOPInstanceUID == sop_instance_uid)
    inside: np.ndarray = in_liver(voxel_positions(plane(image)))[0]
    return inside


def check_slices(viewer: SliceViewerPage, files: CtFiles) -> None:
    """Compares overlay and picture with the truth on several slices."""
    seen = 0
    for number in (1, 6, 9, 11, 14, SLICES):
        uid = viewer.show(number)
        true = liver_on(files, uid)
        assert ((viewer.overlay()[..., 3] > 0) == true).all(), number
        seen += int(true.any())
        image = next(d for d in files.datasets if d.SOPInstanceUID == uid)
        window = float(image.WindowCenter), float(image.WindowWidth)
        assert np.abs(viewer.picture()[..., 0] - windowed(image, *window)).max() <= 1
    assert seen >= 3


def test_the_overlay_covers_the_liver_where_image_numbers_run_against_positions(
    page: Page, node: ServedNode, axial: CtFiles
) -> None:
    viewer = open_viewer(page, node, axial)
    check_slices(viewer, axial)
    top = max(axial.datasets, key=lambda d: float(d.ImagePositionPatient[2]))
    assert viewer.show(1) == top.SOPInstanceUID
    position = f"{float(top.ImagePositionPatient[2]):.1f} mm"
    expect(viewer.region.locator(".slice-position")).to_contain_text(position)
    expect(viewer.region.locator(".slice-position")).to_contain_text("towards the head")


@pytest.mark.parametrize("encoding", [SegEncoding.SPARSE, SegEncoding.LABELMAP])
def test_the_overlay_covers_the_liver_of_a_patient_who_lies_feet_first(
    page: Page, node: ServedNode, tmp_path: Path, encoding: SegEncoding
) -> None:
    files = ct_series(FEET_FIRST, seed=f"viewer-{encoding}")
    add_result(node, node.receive(files, tmp_path), encoding=encoding)
    viewer = open_viewer(page, node, files)
    check_slices(viewer, files)
    # Rows and columns are reversed: the patient's left is on the left of the picture.
    assert viewer.region.locator(".edge").all_inner_texts() == ["L", "R", "P", "A"]


def test_the_frames_of_an_enhanced_ct_are_shown_with_their_overlay(
    page: Page, node: ServedNode, tmp_path: Path
) -> None:
    enhanced = enhanced_ct(frame_order=list(reversed(range(SLICES))))
    enhanced.SeriesInstanceUID = mint_uid("viewer", "enhanced")
    series = node.receive(CtFiles((enhanced,)), tmp_path)
    add_result(node, series)
    viewer = SliceViewerPage(page, node, series.series_instance_uid)
    single = ct_series()
    for number in (6, 10, 14):
        viewer.show(number)
        image = sorted(single.datasets, key=lambda d: -float(d.ImagePositionPatient[2]))[number - 1]
        true = liver_on(single, image.SOPInstanceUID)
        assert ((viewer.overlay()[..., 3] > 0) == true).all()
        viewer.region.get_by_label("Window").select_option(label="Abdomen, liver (60, 400)")
        expected = windowed(image, 60, 400)
        page.wait_for_function("() => !sliceViewer.loading")
        assert np.abs(viewer.picture()[..., 0] - expected).max() <= 1


def test_the_overlay_on_the_screen_has_the_colour_of_the_organ(
    page: Page, node: ServedNode, tmp_path: Path
) -> None:
    files = ct_series(seed="colour")
    add_result(node, node.receive(files, tmp_path))
    viewer = open_viewer(page, node, files)
    uid = viewer.show(10)
    viewer.region.get_by_label("Opacity").fill("100")
    true = liver_on(files, uid)
    # It waits until the element has stopped to move, as it may while the page gets news.
    with Image.open(BytesIO(viewer.region.locator(".picture").screenshot())) as image:
        seen = coloured(np.asarray(image.convert("RGB")), LIVER.display_rgb)
    rows = ((np.arange(seen.shape[0]) + 0.5) * true.shape[0] / seen.shape[0]).astype(int)
    columns = ((np.arange(seen.shape[1]) + 0.5) * true.shape[1] / seen.shape[1]).astype(int)
    expected = true[np.ix_(rows, columns)]
    assert (seen & expected).sum() / (seen | expected).sum() > 0.97


def test_organs_and_the_overlay_can_be_turned_off(
    page: Page, node: ServedNode, axial: CtFiles
) -> None:
    viewer = open_viewer(page, node, axial)
    uid = viewer.show(9)
    both = liver_on(axial, uid)
    viewer.region.get_by_role("checkbox", name="Liver").uncheck()
    only_spleen = viewer.overlay()
    assert 0 < (only_spleen[..., 3] > 0).sum() <= both.sum()
    assert np.abs(only_spleen[only_spleen[..., 3] > 0][0, :3] - SPLEEN.display_rgb).max() <= 1
    viewer.region.get_by_role("checkbox", name="Overlay").uncheck()
    assert not viewer.overlay().any()


def test_keyboard_wheel_and_buttons_change_the_slice(
    page: Page, node: ServedNode, axial: CtFiles
) -> None:
    viewer = open_viewer(page, node, axial)
    viewer.show(5)
    stage = viewer.region.get_by_role("group", name="Slice;")
    stage.focus()
    for key, number in [
        ("ArrowDown", 6),
        ("ArrowUp", 5),
        ("PageDown", 15),
        ("PageUp", 5),
        ("End", SLICES),
        ("Home", 1),
        ("ArrowUp", 1),
    ]:
        page.keyboard.press(key)
        expect(viewer.number).to_have_text(f"Slice {number} of {SLICES}")
    stage.hover()
    page.mouse.wheel(0, 120)
    expect(viewer.number).to_have_text(f"Slice 2 of {SLICES}")
    viewer.region.get_by_role("button", name="Next slice").click()
    expect(viewer.number).to_have_text(f"Slice 3 of {SLICES}")


def test_a_window_of_the_list_is_applied(page: Page, node: ServedNode, axial: CtFiles) -> None:
    viewer = open_viewer(page, node, axial)
    uid = viewer.show(12)
    image = next(d for d in axial.datasets if d.SOPInstanceUID == uid)
    viewer.region.get_by_label("Window").select_option(label="Lung (-600, 1500)")
    page.wait_for_function("() => !sliceViewer.loading")
    assert np.abs(viewer.picture()[..., 0] - windowed(image, -600, 1500)).max() <= 1


def test_neighbours_are_loaded_before_they_are_shown(
    page: Page, node: ServedNode, axial: CtFiles
) -> None:
    viewer = open_viewer(page, node, axial)
    viewer.show(5)
    uid = next(d for d in axial.datasets if d.InstanceNumber == 6).SOPInstanceUID
    page.wait_for_function(
        "() => [...sliceViewer.images.kept.keys()].some(k => k.startsWith('picture 5 '))"
    )
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    viewer.show(6)
    assert not any(f"/{uid}/" in url for url in requested)


def test_a_result_appears_without_a_reload(page: Page, node: ServedNode, tmp_path: Path) -> None:
    files = ct_series(seed="later")
    series = node.receive(files, tmp_path)
    ignore(node, series)
    viewer = open_viewer(page, node, files)
    uid = viewer.show(10)
    expect(viewer.region.get_by_role("checkbox", name="Overlay")).to_be_hidden()
    add_result(node, series)
    expect(viewer.region.get_by_role("checkbox", name="Overlay")).to_be_visible()
    page.wait_for_function("() => !sliceViewer.loading")
    assert viewer.region.get_attribute("data-shown") == uid
    assert ((viewer.overlay()[..., 3] > 0) == liver_on(files, uid)).all()


def test_an_image_that_cannot_be_read_is_reported(
    page: Page, node: ServedNode, tmp_path: Path, errors: list[str]
) -> None:
    files = ct_series(seed="damaged")
    series = node.receive(files, tmp_path)
    ignore(node, series)
    viewer = open_viewer(page, node, files)
    page.route("**/rendered?window=*", lambda route: route.abort())
    viewer.slider.fill("1")
    expect(viewer.region.get_by_text("Slice 1 cannot be shown")).to_be_visible()
    expect(viewer.region.locator("canvas.ct")).to_be_hidden()
    page.unroute_all()
    viewer.show(2)
    expect(viewer.region.locator("canvas.ct")).to_be_visible()
    errors.clear()


def test_a_series_without_ct_slices_says_so(page: Page, node: ServedNode, tmp_path: Path) -> None:
    files = ct_series(seed="photos").modify(without_position)
    series = node.receive(files, tmp_path)
    ignore(node, series)
    page.goto(f"{node.url}/series/{series.series_instance_uid}")
    expect(page.get_by_text("this series has none")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_viewer_is_accessible_and_fits_a_phone(
    browser: Browser, node: ServedNode, axial: CtFiles, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    viewer = open_viewer(page, node, axial)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(viewer.region.get_by_text("Not for diagnostic use", exact=True)).to_be_visible()
    viewer.show(5)
    viewer.region.get_by_role("button", name="Next slice").tap()
    expect(viewer.number).to_have_text(re.compile("Slice 6 of"))
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()
