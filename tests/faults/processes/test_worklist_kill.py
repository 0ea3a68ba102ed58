"""SIGKILL of the node at each request for a work item: it ends once, with one result.

The node retrieves and sends by DICOM over TLS, and uses the worklist by HTTPS with a password. It
has no web process. Without TLS, it retrieves by DICOMweb.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import orthanc_missing
from node.domain.worklists.work_item import WorkItemState
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.worklist_site import worklist_site
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.servers.ups_worklist import Received

pytestmark = pytest.mark.skipif(bool(orthanc_missing()), reason=orthanc_missing())


@pytest.fixture
def ups(tls: TlsSite | None) -> Iterator[UpsOriginServer]:
    context, password = (None, "") if tls is None else (tls.https_context(), "violet tractor")
    with UpsOriginServer(password=password, tls=context) as server:
        yield server


# For each work item, the requests at which the node is killed.
KILLS = (
    # The server has the claim, and the node does not know it.
    ("after state IN PROGRESS",),
    # The node knows, and has not read the work item; the images are on their way.
    ("before retrieve", "after update"),
    # The server has the end, and the node does not know it; before that, only the report.
    ("before state COMPLETED", "after state COMPLETED"),
)


@dataclass
class Moments:
    """Holds up the server's answers at the given moments, each until the node is killed."""

    pending: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    killed: threading.Event = field(default_factory=threading.Event)

    def hold(self, when: str, request: Received) -> None:
        """Holds up a request if its moment is the next one."""
        if self.pending and self.pending[0] == f"{when} {request.name}":
            self.pending.pop(0)
            killed = self.killed
            self.reached.set()
            killed.wait(120)

    def pass_on(self) -> None:
        """Lets the request of the killed node end; the next moment can come."""
        self.reached.clear()
        self.killed.set()
        self.killed = threading.Event()


def test_a_node_that_is_killed_completes_each_work_item_once(
    tmp_path: Path, ups: UpsOriginServer, tls: TlsSite | None
) -> None:
    moments = Moments()
    ups.before = lambda request: moments.hold("before", request)
    ups.after = lambda request: moments.hold("after", request)
    with worklist_site(tmp_path, ups, tls=tls) as site:
        site.node.start()
        for seed, kills in enumerate(KILLS, start=51):
            moments.pending = list(kills)
            uid = site.schedule(tmp_path / str(seed), seed, by_web=tls is None)
            for moment in kills:
                assert moments.reached.wait(240), moment
                site.node.kill()
                moments.pass_on()
                site.node.start()
            item = site.item_in(uid, WorkItemState.COMPLETED, WorkItemState.CANCELED)
            assert item.state is WorkItemState.COMPLETED, item.reason
            changes = [state for changed, state in ups.changes if changed == uid]
            assert changes == ["IN PROGRESS", "COMPLETED"], kills
            (job,) = site.node.store.jobs_of(site.series)
            assert site.node.results(site.study) == [job.result_uids.sop_instance_uid()]
            assert len(ups.performed(uid).OutputInformationSequence) == 1
