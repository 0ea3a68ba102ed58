"""The pictures of the README: the overview, and the result of a phantom in OHIF."""

import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from models.inference.predictor import Predictor
from models.installed_packages import find
from node.dicom.ct.reader import read_series
from node.offline.segment import segment_file
from tests.screenshots.sites import write_phantom
from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import ViewerPage, coloured
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.waiting import until

README_PICTURES = Path(__file__).resolve().parents[2] / "deploy" / "pictures"
_MODEL = "organs-ct"
_SIZE: ViewportSize = {"width": 1280, "height": 800}
_COLOURS = 256
_RENDER_SECONDS = 120
# A slice through the liver covers more of the screen than OHIF's own coloured controls.
_MIN_COVERED = 0.01


def write_readme_pictures(browser: Browser, node: ServedNode, folder: Path) -> None:
    """Writes `overview.png` of the node and `ohif.png` of a phantom into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    page = browser.new_page(viewport=_SIZE)
    page.goto(f"{node.url}/overview")
    _write(page, folder / "overview.png")
    with tempfile.TemporaryDirectory() as scratch, served_node(Path(scratch)) as phantom_node:
        _open_phantom_in_ohif(page, phantom_node, folder / "ohif.png")
    page.close()


def _open_phantom_in_ohif(page: Page, node: ServedNode, picture: Path) -> None:
    """Segments a phantom with the shipped model, and shows the result over its middle slice."""
    package = find(_MODEL)
    _, files = write_phantom(node.settings.data_dir / "sent")
    result = node.settings.data_dir / "organs.dcm"
    segment_file(files[0].parent, result, Predictor.load(package))
    node.receive_files([*files, result])
    headers = read_series(files).sources
    middle = headers[len(headers) // 2]
    organ = next(label for label in package.labels if label.name == "Liver")
    with OhifSite(ohif_files(), node.dicomweb_url) as site:
        viewer = ViewerPage(page, site.url, middle.StudyInstanceUID)
        viewer.open_segmentation(_MODEL)

        def is_shown() -> bool:
            # OHIF may return to another slice while it loads the segmentation.
            viewer.show(middle.SOPInstanceUID)
            return bool(coloured(viewer.picture(), organ.display_rgb).mean() > _MIN_COVERED)

        until(is_shown, _RENDER_SECONDS, "the overlay to appear in OHIF")
        _write(page, picture)


def _write(page: Page, path: Path) -> None:
    """Writes what the page shows with a palette of colours, which makes the file small."""
    with Image.open(BytesIO(page.screenshot(full_page=True))) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(path, optimize=True)
