"""Links from a series page to viewers: the site's own, and the installed OHIF."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from node.domain.job import Job
from node.domain.series import StoredSeries
from node.settings import Settings
from node.web.viewer.ohif_installation import PREFIX, installed_viewer
from node.web.viewer.series_viewer import has_segmentation


@dataclass(frozen=True)
class ViewerLink:
    """A link to a viewer that opens the study of the series."""

    name: str
    url: str


def viewer_links(
    settings: Settings, series: StoredSeries, jobs: Sequence[Job]
) -> tuple[ViewerLink, ...]:
    """Returns the links for a series; `jobs` are its current ones.

    OHIF shows the first result that there is on the images.
    """
    links = []
    study, uid = series.study_instance_uid, series.series_instance_uid
    template = settings.web.viewer_url
    if template:
        url = template.replace("{study}", study).replace("{series}", uid)
        links.append(ViewerLink("Open in the site’s viewer", url))
    if installed_viewer(settings.data_dir) is not None and series.instance_count > 0:
        fields = {"StudyInstanceUIDs": study, "initialSeriesInstanceUID": uid}
        with_result = [job for job in jobs if has_segmentation(job)]
        if with_result:
            fields["overlay"] = with_result[0].result_uids.series_instance_uid
        links.append(ViewerLink("Open in OHIF", f"{PREFIX}viewer?{urlencode(fields)}"))
    return tuple(links)
