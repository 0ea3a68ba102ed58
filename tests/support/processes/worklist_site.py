"""A running node that performs work items: Orthanc holds the images and gets the results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs
from node.domain.identifiers import Uid
from node.domain.worklists.work_item import WorkItem, WorkItemState
from node.processes.role_process import Role
from tests.support.dicom.work_items import scheduled_work_item, series_input
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.servers.fetching_node import orthanc_options
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.waiting import until

_SECONDS = 240.0
_WORKLIST = """
[sources.archive]
url = "{web}"

[destinations.web]
kind = "dicomweb"
url = "{web}"

[worklists.hospital]
url = "{url}"
events_url = "{events_url}"
tasks = [{{ code = "LIVER", scheme = "99HOSP", rule = "liver" }}]
poll_seconds = 0.3
"""


class WorklistSite:
    """The node, its Orthanc and its worklist; `retrieve` is how the node retrieves from Orthanc.

    With `tls`, it retrieves and sends by DICOM over TLS; Orthanc's DICOMweb remains plain.
    """

    def __init__(
        self, folder: Path, ups: UpsOriginServer, retrieve: str, tls: TlsSite | None
    ) -> None:
        (port,) = free_ports(1)
        self.ups = ups
        self.orthanc = OrthancPacs(folder / "orthanc", **orthanc_options(port, tls=tls))  # type: ignore[arg-type]
        # Only images that Orthanc moves come to the listener.
        roles = (Role.LISTENER, Role.WORKER) if retrieve == "move" else (Role.WORKER,)
        self.node = RunningNode(folder / "node", self.orthanc, roles, port, tls)
        text = self.node.config_file.read_text()
        peer = f'ae_title = "{self.orthanc.ae_title}"\n'
        text = text.replace(peer, f'{peer}retrieve = "{retrieve}"\n')
        text = text.replace('destinations = ["pacs"]', 'destinations = ["pacs", "web"]')
        text = text.replace("when = {", "only_for_work_items = true\nwhen = {")
        worklist = _WORKLIST.format(
            web=self.orthanc.dicomweb_url, url=ups.url, events_url=ups.events_url
        )
        if ups.password:
            password = folder / "password"
            password.touch(mode=0o600)
            password.write_text(ups.password)
            worklist += f'username = "performer"\npassword_file = "{password}"\n'
        worklist += "" if tls is None else f'ca_file = "{tls.authority.file}"\n'
        self.node.config_file.write_text(text + worklist)

    def schedule(self, folder: Path, seed: int, *, by_web: bool) -> str:
        """Stores a phantom in Orthanc and schedules a work item for it; returns its UID."""
        files = small_abdomen(folder, seed=seed)
        headers = [dcmread(file, stop_before_pixels=True) for file in files]
        for file in files:
            self.orthanc.upload(file)
        self.study = Uid(headers[0].StudyInstanceUID)
        self.series = Uid(headers[0].SeriesInstanceUID)
        url = f"{self.orthanc.dicomweb_url}/studies/{self.study}/series/{self.series}"
        instances = [str(header.SOPInstanceUID) for header in headers]
        one = series_input(
            self.study,
            self.series,
            instances=instances,
            url=url if by_web else "",
            ae_title="" if by_web else self.orthanc.ae_title,
        )
        return self.ups.schedule(scheduled_work_item(one))

    def item_in(self, uid: str, *states: WorkItemState) -> WorkItem:
        """Waits until a work item is in one of the states at the node; returns it."""

        def there() -> WorkItem | None:
            item = self.node.store.get_work_item("hospital", uid)
            return item if item is not None and item.state in states else None

        item = until(there, _SECONDS, f"the work item to be {' or '.join(states)}")
        assert item is not None
        return item


@contextmanager
def worklist_site(
    folder: Path, ups: UpsOriginServer, retrieve: str = "get", tls: TlsSite | None = None
) -> Iterator[WorklistSite]:
    """A site in `folder` whose Orthanc runs; the node is not started yet."""
    site = WorklistSite(folder, ups, retrieve, tls)
    try:
        site.orthanc.start()
        yield site
    finally:
        site.node.close()
        site.orthanc.kill()
