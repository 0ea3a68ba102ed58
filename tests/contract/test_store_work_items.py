"""Work items and worklists in the store, on every database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code
from node.domain.worklists.work_item import WorkItem, WorkItemInput, WorkItemState
from node.store import Store
from node.store.worklists.worklists import WorklistStatus
from tests.support.factories import LATER, NOON, SERIES

UID = Uid("1.9")
CODE = Code("LIVER", "99HOSP", "Liver")
INPUT = WorkItemInput(Uid("1.2"), SERIES, (Uid("1.2.3.1"),), "web")


def add(store: Store, uid: str = UID, rule: str = "liver", worklist: str = "hospital") -> bool:
    return store.add_work_item(
        worklist, Uid(uid), NOON, transaction_uid=Uid(f"2.25.{uid[-1]}"), rule=rule, code=CODE
    )


def item_of(store: Store, uid: str = UID, worklist: str = "hospital") -> WorkItem:
    item = store.get_work_item(worklist, uid)
    assert item is not None
    return item


def performing(store: Store, uid: str = UID, worklist: str = "hospital") -> WorkItem:
    """A work item in progress whose input is SERIES."""
    add(store, uid, worklist=worklist)
    item = item_of(store, uid, worklist)
    assert store.change_work_item(item, WorkItemState.CLAIMED, LATER, reason="")
    assert store.start_performing(item_of(store, uid, worklist), [INPUT], LATER)
    return item_of(store, uid, worklist)


def test_a_work_item_is_added_once_and_keeps_its_transaction_uid(store: Store) -> None:
    assert add(store)
    assert not store.add_work_item(
        "hospital", UID, LATER, transaction_uid=Uid("2.25.99"), rule="other", code=None
    )
    item = item_of(store)
    assert (item.transaction_uid, item.rule, item.code) == ("2.25.9", "liver", CODE)
    assert (item.state, item.created_at, item.claimed_at) == (WorkItemState.CLAIMING, NOON, None)
    assert store.get_work_item("other", UID) is None
    assert store.work_items_with_uid(UID) == [item]
    assert [event.event for event in store.history_of(UID)] == ["work_item.claiming"]


def test_workers_that_find_a_work_item_at_once_add_it_once(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda _: add(store), range(8)))
    assert added.count(True) == 1


def test_a_state_changes_only_from_the_state_that_was_read(store: Store) -> None:
    add(store)
    item = item_of(store)
    assert store.change_work_item(item, WorkItemState.CLAIMED, LATER, reason="")
    assert not store.change_work_item(item, WorkItemState.WITHDRAWN, LATER, reason="late")
    claimed = item_of(store)
    assert (claimed.state, claimed.claimed_at) == (WorkItemState.CLAIMED, LATER)


def test_inputs_and_their_retrievals_are_stored_together_and_once(store: Store) -> None:
    item = performing(store)
    (retrieval,) = store.open_retrievals()
    (one,) = item.inputs
    assert one.retrieval_id == retrieval.retrieval_id
    assert (one.source, one.sop_instance_uids) == ("web", ("1.2.3.1",))
    as_read_before = replace(item, state=WorkItemState.CLAIMED)
    assert not store.start_performing(as_read_before, [INPUT], LATER)
    assert len(store.list_retrievals()) == 1


def test_a_work_item_does_not_join_a_retrieval_whose_series_may_be_decided_already(
    store: Store,
) -> None:
    number = store.request_retrieval("web", INPUT.study_instance_uid, SERIES, NOON)
    (one,) = performing(store).inputs
    assert one.retrieval_id not in {None, number}


def test_a_series_is_requested_while_its_work_item_is_performed_and_completed(
    store: Store,
) -> None:
    assert store.requested_rules(SERIES) == frozenset()
    item = performing(store)
    assert store.requested_rules(SERIES) == {"liver"}
    store.change_work_item(item, WorkItemState.COMPLETING, LATER, reason="", report="{}")
    store.change_work_item(item_of(store), WorkItemState.COMPLETED, LATER, reason="")
    assert store.requested_rules(SERIES) == {"liver"}
    assert item_of(store).report == "{}"
    other = performing(store, "1.8")
    store.change_work_item(other, WorkItemState.CANCELING, LATER, reason="")
    assert store.is_requested_elsewhere(other, SERIES)
    assert not store.is_requested_elsewhere(item_of(store), SERIES)


def test_progress_and_failures_are_recorded(store: Store) -> None:
    item = performing(store)
    store.record_failed_work_item(item, "it does not answer")
    store.record_failed_work_item(item, "it does not answer")
    assert (item_of(store).attempts, item_of(store).error) == (2, "it does not answer")
    store.record_progress(item, 50, "segmenting", LATER)
    after = item_of(store)
    assert (after.progress, after.reason, after.attempts, after.error) == (50, "segmenting", 0, "")


def test_the_first_request_to_cancel_counts_and_an_ended_work_item_has_none(store: Store) -> None:
    item = performing(store)
    assert store.request_cancellation("hospital", UID, CODE, LATER)
    assert not store.request_cancellation("hospital", UID, None, LATER)
    assert not store.request_cancellation("hospital", "1.7", None, LATER)
    assert item_of(store).cancel_code == CODE
    store.change_work_item(item, WorkItemState.CANCELED, LATER, reason="")
    add(store, "1.8")
    store.change_work_item(item_of(store, "1.8"), WorkItemState.WITHDRAWN, LATER, reason="")
    assert not store.request_cancellation("hospital", "1.8", None, LATER)


def test_open_work_items_are_those_of_a_worklist_that_have_not_ended(store: Store) -> None:
    for uid, worklist in (("1.7", "hospital"), ("1.8", "hospital"), ("1.9", "other")):
        add(store, uid, worklist=worklist)
    store.change_work_item(item_of(store, "1.7"), WorkItemState.WITHDRAWN, LATER, reason="x")
    assert [item.work_item_uid for item in store.open_work_items("hospital")] == ["1.8"]
    assert [item.work_item_uid for item in store.list_work_items()] == ["1.7", "1.8", "1.9"]
    assert len(store.list_work_items(limit=1)) == 1


def test_what_others_may_see_of_a_work_item_has_no_key(store: Store) -> None:
    fields = performing(store).public_fields()
    assert "transaction_uid" not in fields
    assert fields["state"] == "performing"


def test_the_status_of_a_worklist_keeps_the_start_of_a_failure(store: Store) -> None:
    assert store.worklist_status("hospital") == WorklistStatus("hospital", None, None, "")
    store.record_worklist_failure("hospital", "refused", NOON)
    store.record_worklist_failure("hospital", "down", LATER)
    assert store.worklist_status("hospital") == WorklistStatus("hospital", None, NOON, "down")
    store.record_worklist_answer("hospital", LATER)
    assert store.worklist_status("hospital") == WorklistStatus("hospital", LATER, None, "")
