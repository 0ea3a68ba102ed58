"""The pictures of the README: the overview, and the result on a phantom in OHIF."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from node.dicom.ct.reader import read_series
from node.domain.series import StoredSeries
from tests.screenshots.sites import largest_series
from tests.support.browser.ohif_site import OhifSite, ohif_files
from tests.support.browser.viewer_page import ViewerPage, coloured
from tests.support.servers.served_node import ServedNode
from tests.support.waiting import until

README_PICTURES = Path(__file__).resolve().parents[2] / "deploy" / "pictures"
_SIZE = {"width": 1280, "height": 800}
_COLOURS = 256
_RENDER_SECONDS = 120
