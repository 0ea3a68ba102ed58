"""The result in OHIF in Chromium, from the DICOMweb of the node itself."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import PICTURE_POLL_S, ImagePlane, ViewerPage, coloured
from tests.support.dicom.body import grid, in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, ct_series
from tests.support.servers.served_node import served_node
from tests.support.waiting import until

# OHIF draws the outline over the border of the overlay, a little inside or outside a voxel's edge.
_MIN_OVERLAP = 0.95
_RENDER_SECONDS = 120

pytestmark = pytest.mark.webgl


def test_the_overlay_appears_on_the_liver_without_a_pacs(page: Page, tmp_path: Path) -> None:
    geometry = grid()
    slices = ct_series(geometry=geometry, seed="ohif-node")
    liver = in_liver(voxel_positions(geometry))  # (slice, row, column)
    fullest = int(np.argmax(liver.sum(axis=(1, 2))))
    image = slices.datasets[fullest]
    _, row_step, column_step, _ = geometry.affine[:3].T
    plane = ImagePlane(np.array(image.ImagePositionPatient, float), column_step, row_step)

    with served_node(tmp_path) as node, OhifSite(ohif_files(), node.dicomweb_url) as site:
        series = node.receive(slices, tmp_path / "ct")
        node.finish_job(node.add_job(series))
        viewer = ViewerPage(page, site.url, series.study_instance_uid)
        viewer.show(image.SOPInstanceUID)
        assert not coloured(viewer.picture(), LIVER.display_rgb).any()
        viewer.open_segmentation("Liver, liver-test 0.0.1")
        viewer.show(image.SOPInstanceUID)
        expected = viewer.on_screen(liver[fullest], plane)

        def overlap() -> float:
            """Intersection over union."""
            # OHIF may jump to another slice while it loads the segmentation.
            viewer.show(image.SOPInstanceUID)
            seen = coloured(viewer.picture(), LIVER.display_rgb)
            return float((seen & expected).sum() / max((seen | expected).sum(), 1))

        awaited = "the overlay to lie where the liver is"
        until(lambda: overlap() >= _MIN_OVERLAP, _RENDER_SECONDS, awaited, poll_s=PICTURE_POLL_S)
