"""REST route of the slice viewer: which images to show, and what lies on them."""

from fastapi import APIRouter

from node.web.dependencies import SiteStore
from node.web.operations import require_series
from node.web.viewer.series_viewer import SeriesViewer, series_viewer

ROUTER = APIRouter(prefix="/api/series")


@ROUTER.get("/{series_uid}/slices")
def slices(series_uid: str, store: SiteStore) -> SeriesViewer:
    """Returns the slices in order, and for each the frames of the results that lie on it.

    The images are at `/dicom-web/studies/.../frames/{frame}/rendered`, the masks at
    `/dicom-web/studies/.../frames/{frames}`.
    """
    return series_viewer(store, require_series(store, series_uid))
