"""The node's own archive in the viewer: OHIF in Chromium over the DICOMweb of the node itself."""

from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from node.dicom.results.segmentation import SegOptions
from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import ImagePlane, ViewerPage, coloured
from tests.support.dicom.body import grid, in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, ct_series
from tests.support.servers.served_node import served_node
from tests.support.waiting import until

# The overlay's outline is drawn over its border, a little more or less than a voxel's edge.
_LEAST_OVERLAP = 0.95
_RENDER_SECONDS = 120


def test_a_result_is_on_the_screen_without_any_pacs(page: Page, tmp_path: Path) -> None:
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
        viewer.open_segmentation(SegOptions().series_description)
        viewer.show(image.SOPInstanceUID)
        expected = viewer.on_screen(liver[fullest], plane)

        def overlap() -> float:
            """Intersection over union."""
            seen = coloured(viewer.picture(), LIVER.display_rgb)
            return float((seen & expected).sum() / max((seen | expected).sum(), 1))

        told = "the overlay to lie where the liver is"
        until(lambda: overlap() >= _LEAST_OVERLAP, _RENDER_SECONDS, told)
