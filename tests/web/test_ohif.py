"""The result in OHIF in Chromium, from the DICOMweb of a real Orthanc."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser
from pydicom.dataset import Dataset

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.result_objects import SegEncoding
from node.pipeline import ResultRequest, segment
from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import PICTURE_POLL_S, ImagePlane, ViewerPage, coloured
from tests.support.browser.windows import DESKTOP
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, in_liver, oblique
from tests.support.dicom.builders import LIVER, MADE_AT, ThresholdSegmenter, ct_series
from tests.support.dicom.results import encoded_seg
from tests.support.waiting import until

# OHIF draws the outline over the border of the overlay, a little inside or outside a voxel's edge.
_MIN_OVERLAP = 0.95
_RENDER_SECONDS = 120

pytestmark = pytest.mark.webgl


@dataclass
class Viewing:
    """A PACS and the viewer in front of it. All studies use one page, which loads it once."""

    pacs: OrthancPacs
    site: OhifSite
    browser: Browser
    viewer: ViewerPage | None = None

    def open(self, study_instance_uid: str) -> ViewerPage:
        """Opens a study."""
        if self.viewer is None:
            page = self.browser.new_page(viewport=DESKTOP)
            self.viewer = ViewerPage(page, self.site.url, study_instance_uid)
        else:
            self.viewer.open_study(study_instance_uid)
        return self.viewer


@pytest.fixture(scope="module")
def viewing(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Viewing]:
    """One Orthanc and one OHIF for all studies of this file."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    files = ohif_files()
    pacs = OrthancPacs(tmp_path_factory.mktemp("orthanc"))
    with pacs, OhifSite(files, pacs.dicomweb_url) as site:
        yield Viewing(pacs, site, browser)


@pytest.mark.parametrize(
    ("name", "directions", "encoding"),
    [
        ("axial", AXIAL, SegEncoding.ALL_FRAMES),
        ("feet-first", FEET_FIRST, SegEncoding.ALL_FRAMES),
        ("coronal", CORONAL, SegEncoding.ALL_FRAMES),
        ("oblique", oblique(), SegEncoding.ALL_FRAMES),
        ("sparse", FEET_FIRST, SegEncoding.SPARSE),
        ("label map", oblique(), SegEncoding.LABELMAP),
    ],
)
def test_the_overlay_appears_on_the_liver(
    viewing: Viewing,
    tmp_path: Path,
    name: str,
    directions: Directions,
    encoding: SegEncoding,
) -> None:
    slices = ct_series(directions, seed=f"ohif-{name}")
    _upload_to_pacs(viewing.pacs, slices.write(tmp_path / "ct"), tmp_path, encoding)
    viewer = viewing.open(slices.datasets[0].StudyInstanceUID)
    shown = _slices_with_liver(slices.datasets)

    viewer.show(shown[0].SOPInstanceUID)
    assert not coloured(viewer.picture(), LIVER.display_rgb).any()

    viewer.open_segmentation("Liver, liver-test 0.0.1")
    for image in shown:
        viewer.show(image.SOPInstanceUID)
        expected = viewer.on_screen(in_liver(_pixel_positions(image)), _plane(image))
        _wait_for_the_overlay(viewer, image, expected, tmp_path / f"{image.InstanceNumber}.png")
        if name == "axial":
            # The patient's right, where the liver is, is on the left of the picture.
            columns = np.argwhere(expected)[:, 1]
            assert columns.mean() < expected.shape[1] / 2


def _upload_to_pacs(
    pacs: OrthancPacs, ct_files: list[Path], folder: Path, encoding: SegEncoding
) -> None:
    """Uploads a CT and the node's segmentation of it."""
    request = ResultRequest(folder.name, MADE_AT)
    result = segment(ct_files, ThresholdSegmenter(), request)
    segmentation = folder / "segmentation.dcm"
    encoded_seg(result.content, encoding).save_as(segmentation, enforce_file_format=True)
    for file in (*ct_files, segmentation):
        pacs.upload(file)


def _slices_with_liver(datasets: tuple[Dataset, ...]) -> list[Dataset]:
    """Returns three slices: near one end of the liver, in its middle and near its other end."""
    inside = [dataset for dataset in datasets if in_liver(_pixel_positions(dataset)).sum() > 20]
    return [inside[0], inside[len(inside) // 2], inside[-1]]


def _plane(image: Dataset) -> ImagePlane:
    """Returns the plane from the image's header (PS3.3 C.7.6.2.1.1)."""
    along_row, along_column = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
    between_rows, between_columns = (float(v) for v in image.PixelSpacing)
    origin = np.array(image.ImagePositionPatient, float)
    return ImagePlane(origin, along_row * between_columns, along_column * between_rows)


def _pixel_positions(image: Dataset) -> NDArray[np.float64]:
    """Returns the position of each pixel: (row, column, 3), LPS, mm."""
    plane = _plane(image)
    rows, columns = np.mgrid[0 : image.Rows, 0 : image.Columns].astype(float)
    positions: NDArray[np.float64] = (
        plane.origin + columns[..., None] * plane.column_step + rows[..., None] * plane.row_step
    )
    return positions


def _wait_for_the_overlay(
    viewer: ViewerPage, image: Dataset, expected: NDArray[np.bool_], picture: Path
) -> None:
    """Waits for the expected colour on the slice; keeps the last screenshot as a PNG."""

    def overlap() -> float:
        """Intersection over union."""
        # OHIF may jump to another slice while it loads the segmentation.
        viewer.show(image.SOPInstanceUID)
        screenshot = viewer.picture()
        Image.fromarray(screenshot).save(picture)
        seen = coloured(screenshot, LIVER.display_rgb)
        return float((seen & expected).sum() / max((seen | expected).sum(), 1))

    until(
        lambda: overlap() >= _MIN_OVERLAP,
        _RENDER_SECONDS,
        f"the overlay to lie where the liver is ({picture})",
        poll_s=PICTURE_POLL_S,
    )
