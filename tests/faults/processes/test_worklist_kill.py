"""SIGKILL of the node at each request for a work item: it ends once, with one result."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import orthanc_missing
from node.domain.worklists.work_item import WorkItemState
from tests.support.processes.worklist_site import worklist_site
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.servers.ups_worklist import Received

pytestmark = pytest.mark.skipif(bool(orthanc_missing()), reason=orthanc_missing())


@pytest.fixture
def ups() -> Iterator[UpsOriginServer]:
    with UpsOriginServer() as server:
        yield server


@pytest.mark.parametrize(
    "moments",
    [
        # The server has the claim, and the node does not know it.
        ("after state IN PROGRESS",),
        # The node knows, and has not read the work item; the images are on their way.
        ("before retrieve", "after update"),
        # The server has the end, and the node does not know it; before that, only the report.
        ("before state COMPLETED", "after state COMPLETED"),
    ],
    ids=", ".join,
)
def test_a_node_that_is_killed_completes_its_work_item_once(
    tmp_path: Path, ups: UpsOriginServer, moments: tuple[str, ...]
) -> None:
    pending = list(moments)
    reached, go_on = threading.Event(), threading.Event()

    def stop_at(when: str, request: Received) -> None:
        if pending and pending[0] == f"{when} {request.name}":
            pending.pop(0)
            reached.set()
            go_on.wait(120)

    ups.before = lambda request: stop_at("before", request)
    ups.after = lambda request: stop_at("after", request)
    with worklist_site(tmp_path, ups) as site:
        uid = site.schedule(tmp_path / "ct", 51, by_web=True)
        site.node.start()
        for moment in moments:
            assert reached.wait(240), moment
            site.node.kill()
            reached.clear()
            go_on.set()
            go_on = threading.Event()
            site.node.start()
        item = site.item_in(uid, WorkItemState.COMPLETED, WorkItemState.CANCELED)
        assert item.state is WorkItemState.COMPLETED, item.reason
        assert ups.changes == [(uid, "IN PROGRESS"), (uid, "COMPLETED")]
        (job,) = site.node.store.jobs_of(site.series)
        assert site.node.results(site.study) == [job.result_uids.sop_instance_uid()]
        assert len(ups.performed(uid).OutputInformationSequence) == 1
