"""Captures, pages and report of a job in OHIF in Chromium, from the DICOMweb of a real Orthanc."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from models.measurement import is_found
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.results.captures import refusal_notice
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.domain.identifiers import Uid, mint_uid
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import PICTURE_POLL_S, ImagePlane, ViewerPage, coloured
from tests.support.browser.windows import DESKTOP
from tests.support.dicom.builders import MADE_AT
from tests.support.dicom.measured_content import organs_content
from tests.support.dicom.result_content import read_back
from tests.support.waiting import until

pytestmark = pytest.mark.webgl
_RENDER_SECONDS = 120
# OHIF interpolates between pixels, and its texts lie over the image.
_MIN_AGREEMENT = 0.93
# A page is smaller on the screen than it is, so its text is smoothed.
_MIN_PAGE_AGREEMENT = 0.85
_MIN_OVERLAP = 0.9


@dataclass(frozen=True)
class Viewing:
    """A study with a CT and results in a PACS, and the viewer in front of it."""

    site: OhifSite
    content: ResultContent
    captures: tuple[Dataset, ...]
    summary: Dataset
    document: Dataset
    notice: Dataset

    def open(self, page: Page) -> ViewerPage:
        """Opens the study."""
        study: str = self.content.source.sources[0].StudyInstanceUID
        return ViewerPage(page, self.site.url, study)


@pytest.fixture(scope="module")
def viewing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("study")
    content = organs_content(folder / "ct")
    encoded = {
        kind: [read_back(each) for each in encode(content, ResultObject(kind))]
        for kind in (ResultKind.CAPTURE, ResultKind.SUMMARY, ResultKind.PDF, ResultKind.SR)
    }
    encoded[ResultKind.NOTICE] = [read_back(_notice(content))]
    for kind, datasets in encoded.items():
        for number, dataset in enumerate(datasets):
            dataset.save_as(folder / f"{kind}-{number}.dcm", enforce_file_format=True)
    pacs = OrthancPacs(tmp_path_factory.mktemp("orthanc"))
    with pacs, OhifSite(ohif_files(), pacs.dicomweb_url) as site:
        for file in sorted(folder.rglob("*.dcm")):
            pacs.upload(file)
        yield Viewing(
            site,
            content,
            tuple(encoded[ResultKind.CAPTURE]),
            encoded[ResultKind.SUMMARY][0],
            encoded[ResultKind.PDF][0],
            encoded[ResultKind.NOTICE][0],
        )


@pytest.fixture(scope="module")
def viewer(viewing: Viewing, browser: Browser) -> Iterator[ViewerPage]:
    """The study in one page, in which each test opens another series."""
    context = browser.new_context(viewport=DESKTOP)
    yield viewing.open(context.new_page())
    context.close()


def _notice(content: ResultContent) -> Dataset:
    headers = content.source.sources
    refusal = Refusal(
        Uid(headers[0].StudyInstanceUID),
        headers,
        len(headers),
        "abdomen",
        "liver-ct 0.3.0",
        "The series has 7 slices; liver-ct needs at least 10. Send the whole series.",
        MADE_AT,
    )
    series, instance = mint_uid("notice", "series"), mint_uid("notice", "instance")
    return refusal_notice.encode(refusal, series_instance_uid=series, sop_instance_uid=instance)


def _slices(content: ResultContent) -> list[int]:
    """Returns three slices on which the liver is: near its ends and in its middle."""
    liver = content.mask.labels[0]
    sizes = content.mask.of(liver).sum(axis=(1, 2))
    with_liver = np.flatnonzero(sizes > sizes.max() / 10)
    return [int(with_liver[0]), int(with_liver[len(with_liver) // 2]), int(with_liver[-1])]


def _plane(image: Dataset) -> ImagePlane:
    """Returns the plane from the image's header (PS3.3 C.7.6.2.1.1)."""
    along_row, along_column = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
    between_rows, between_columns = (float(v) for v in image.PixelSpacing)
    origin = np.array(image.ImagePositionPatient, float)
    return ImagePlane(origin, along_row * between_columns, along_column * between_rows)


def _wait(page: Page, picture: Path, is_reached: Callable[[], bool], what: str) -> None:
    """Waits; keeps the last screenshot as a PNG."""

    def reached() -> bool:
        page.screenshot(path=picture)
        return is_reached()

    until(reached, _RENDER_SECONDS, f"{what} ({picture})", poll_s=PICTURE_POLL_S)


def test_a_capture_shows_the_organs_in_colour_where_the_mask_is(
    viewing: Viewing, viewer: ViewerPage, tmp_path: Path
) -> None:
    content = viewing.content
    liver = content.mask.labels[0]
    viewer.open_series("Overlay:")
    for k in _slices(content):
        capture = viewing.captures[k]
        viewer.show(capture.SOPInstanceUID)
        pixels = pixel_array(capture)
        _wait(
            viewer.page,
            tmp_path / f"capture-{k}.png",
            partial(lambda p: viewer.agreement(p) >= _MIN_AGREEMENT, pixels),
            "the capture to be shown in its colours",
        )
        # By the position of the source slice; the strip below it has a legend in the same colour.
        plane = _plane(content.source.sources[k])
        inside: NDArray[np.bool_] = content.mask.of(liver)[k]
        expected = viewer.on_screen(inside, plane)
        on_slice = viewer.on_screen(np.ones_like(inside), plane)
        seen = coloured(viewer.picture(), liver.display_rgb) & on_slice
        assert (seen & expected).sum() / (seen | expected).sum() >= _MIN_OVERLAP


def test_captures_scroll_with_the_ct(viewing: Viewing, page: Page, tmp_path: Path) -> None:
    content = viewing.content
    viewer = viewing.open(page)
    viewer.add_viewport()
    viewer.open_series("Overlay:")
    first = viewing.captures[0].SeriesInstanceUID
    until(lambda: first in viewer.shown_in(1), _RENDER_SECONDS, "the captures to be shown")
    viewer.link_slices()
    for k in _slices(content):
        viewer.show(content.source.sources[k].SOPInstanceUID)
        capture = viewing.captures[k].SOPInstanceUID
        _wait(
            page,
            tmp_path / f"linked-{k}.png",
            partial(lambda uid: f"/{uid}/" in viewer.shown_in(1), capture),
            "the capture of the slice to be shown",
        )


@pytest.mark.parametrize(
    ("title", "of"),
    [("Summary:", lambda v: v.summary), ("Not segmented", lambda v: v.notice)],
    ids=["summary", "notice"],
)
def test_a_page_is_shown_as_it_is_drawn(
    viewing: Viewing,
    viewer: ViewerPage,
    tmp_path: Path,
    title: str,
    of: Callable[[Viewing], Dataset],
) -> None:
    dataset = of(viewing)
    viewer.open_series(title)
    viewer.show(dataset.SOPInstanceUID)
    pixels = pixel_array(dataset)
    _wait(
        viewer.page,
        tmp_path / "page.png",
        lambda: viewer.agreement(_smoothed(pixels)) >= _MIN_PAGE_AGREEMENT,
        "the page to be shown",
    )


def test_the_document_opens_in_the_browser(viewing: Viewing, viewer: ViewerPage) -> None:
    viewer.open_series("Report:")
    document = viewer.page.locator('[data-cy=viewport-grid] object[type="application/pdf"]')
    expect(document).to_be_attached(timeout=_RENDER_SECONDS * 1000)
    shown = viewer.page.evaluate(
        "async (url) => Array.from(new Uint8Array(await (await fetch(url)).arrayBuffer()))",
        document.get_attribute("data"),
    )
    # DICOM pads a value to an even length (PS3.5 7.1.1).
    assert bytes(shown).startswith(b"%PDF-")
    assert bytes(shown).rstrip(b"\0") == viewing.document.EncapsulatedDocument.rstrip(b"\0")


def test_the_measurement_report_is_readable(
    viewing: Viewing, viewer: ViewerPage, tmp_path: Path
) -> None:
    content = viewing.content
    viewer.open_series("Measurements:")
    _wait(
        viewer.page,
        tmp_path / "report.png",
        lambda: "Imaging Measurement Report" in viewer.texts(),
        "the report to be shown",
    )
    lines = [" ".join(line.split()) for line in viewer.texts().splitlines()]
    found = [
        (label, content.measurements[label.name])
        for label in content.mask.labels
        if is_found(content.measurements[label.name], label)
    ]
    assert len(found) > 5
    for label, measured in found:
        assert f"Finding Site: {label.type.meaning}" in lines
        assert f"Volume: {_shown(measured.volume_ml)} mL" in lines
        assert measured.mean_hu is not None
        mean = f"Attenuation Coefficient, Mean: {_shown(measured.mean_hu)} [hnsf'U]"
        assert mean in lines
    assert any("Not for diagnostic use" in line for line in lines)


def _shown(value: float) -> str:
    """Returns a number as `deploy/ohif/app-config.js` writes it, with six digits."""
    return f"{value:.6g}"


def _smoothed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the image as it is when it is shrunk to half and enlarged again."""
    image = Image.fromarray(pixels)
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))
