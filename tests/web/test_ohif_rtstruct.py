"""The contours in OHIF in Chromium, from the DICOMweb of a real Orthanc."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page
from scipy import ndimage

from models.mask import Mask
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct.reader import read_series
from node.dicom.results.contours.structure_set import encode
from node.dicom.results.series_texts import series_description
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import PICTURE_POLL_S, ImagePlane, ViewerPage, coloured
from tests.support.dicom.body import oblique
from tests.support.dicom.builders import LIVER, ct_series
from tests.support.dicom.results import content_of, liver_mask
from tests.support.waiting import until

pytestmark = pytest.mark.webgl
RTSTRUCT = ResultObject(ResultKind.RTSTRUCT)
# OHIF draws a line of one pixel; the browser may smooth it over its neighbours.
_LINE_PIXELS = 3
_MIN_SHARE = 0.95
_RENDER_SECONDS = 120


def test_the_contours_run_along_the_edge_of_the_liver(page: Page, tmp_path: Path) -> None:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    files = ct_series(oblique(), seed="ohif-rtstruct").write(tmp_path / "ct")
    series = read_series(files)
    fullest = int(np.argmax(liver_mask(series).of(LIVER).sum(axis=(1, 2))))
    values = liver_mask(series).volume.array.copy()
    values[fullest, 2:10, 30:40] = 1  # another component
    content = content_of(series, Mask(series.volume.with_array(values), (LIVER,)))
    (dataset,) = encode(content, RTSTRUCT)
    structure_set = tmp_path / "rtstruct.dcm"
    dataset.save_as(structure_set, enforce_file_format=True)
    image = series.sources[fullest]
    _, row_step, column_step, _ = series.volume.affine[:3].T
    plane = ImagePlane(np.array(image.ImagePositionPatient, float), column_step, row_step)

    pacs = OrthancPacs(tmp_path / "orthanc")
    with pacs, OhifSite(ohif_files(), pacs.dicomweb_url) as site:
        for file in (*files, structure_set):
            pacs.upload(file)
        viewer = ViewerPage(page, site.url, image.StudyInstanceUID)
        viewer.show(image.SOPInstanceUID)
        assert not coloured(viewer.picture(), LIVER.display_rgb).any()
        viewer.open_segmentation(series_description(content, RTSTRUCT))
        viewer.show(image.SOPInstanceUID)
        shown = viewer.on_screen(values[fullest] == 1, plane)

        def on_the_edge() -> float:
            # OHIF may jump to another slice while it loads the structure set.
            viewer.show(image.SOPInstanceUID)
            picture = viewer.picture()
            Image.fromarray(picture).save(tmp_path / "contours.png")
            return agreement(coloured(picture, LIVER.display_rgb), shown)

        awaited = f"the contours to run along the edges ({tmp_path / 'contours.png'})"
        until(lambda: on_the_edge() >= _MIN_SHARE, _RENDER_SECONDS, awaited, poll_s=PICTURE_POLL_S)


def agreement(line: NDArray[np.bool_], shown: NDArray[np.bool_]) -> float:
    """The lesser share: of the line that is on the edge, of the edge that the line is on."""
    edge = shown & ~ndimage.binary_erosion(shown)
    on_edge = (line & ndimage.binary_dilation(edge, iterations=_LINE_PIXELS)).sum()
    covered = (edge & ndimage.binary_dilation(line, iterations=_LINE_PIXELS)).sum()
    return float(min(on_edge / max(line.sum(), 1), covered / edge.sum()))
