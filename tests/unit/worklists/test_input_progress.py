"""The progress with the input of a work item."""

from datetime import timedelta
from pathlib import Path

from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.domain.series import Deletion
from node.domain.worklists.work_item import WorkItem, WorkItemInput, WorkItemState
from node.routing.rule_parsing import default_rule
from node.store import Store
from node.worklists.input_progress import Ending, progress_of
from tests.support.factories import NOON, SERIES, add_instances


def test_the_input_of_which_a_person_deletes_the_images_has_failed(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'segnode.db'}", tmp_path)
    add_instances(store, f"{SERIES}.1")
    store.record_refused_images([RefusedImage(SERIES, Uid("1.9"), "no space", NOON)])
    one = WorkItemInput(Uid("1.2"), SERIES, (), "pacs")
    item = WorkItem(
        worklist="ris",
        work_item_uid=Uid("1.5"),
        transaction_uid=Uid("1.6"),
        state=WorkItemState.PERFORMING,
        rule="liver",
        code=None,
        reason="",
        progress=0,
        cancel_requested_at=None,
        cancel_code=None,
        report="",
        attempts=0,
        error="",
        created_at=NOON,
        claimed_at=NOON,
        updated_at=NOON,
        inputs=(one,),
    )
    assert progress_of(store, item, one, default_rule(1)).ending is None
    ada, later = AuditActor("ada", AuditInterface.CLI), NOON + timedelta(minutes=2)
    deletion = store.delete_series(SERIES, later, by=ada, reason="a test")
    assert deletion is Deletion.DELETED
    progress = progress_of(store, item, one, default_rule(1))
    store.close()
    assert (progress.ending, progress.text) == (Ending.FAILED, "a person deleted its images")
