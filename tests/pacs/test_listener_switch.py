"""A listener that switches: open associations go on, new ones meet the new configuration."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from node.domain.identifiers import AeTitle
from node.intake.inbox import Inbox
from node.store import Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.scp import Listener
from tests.support.dicom.small_ct import small_ct
from tests.support.factories import sqlite_url


def policy(own: str, *callers: str, max_associations: int = 5) -> AssociationPolicy:
    titles = tuple(AeTitle(caller) for caller in callers)
    return AssociationPolicy(AeTitle(own), "127.0.0.1", 0, 131072, max_associations, titles)


class Site:
    """A listener on a free port, and its peers."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(sqlite_url(folder), folder)
        commitment = CommitmentService(self.store, ("OLD",), lambda: datetime.now(UTC))
        inbox = Inbox(self.store, 0)
        first = policy("SEGNODE", "OLD")
        self.listener = Listener(first, inbox, commitment, lambda: datetime.now(UTC))
        self.port = self.listener.start()

    def associate(self, calling: str, called: str) -> Association:
        ae = AE(calling)
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        return ae.associate("127.0.0.1", self.port, ae_title=called)

    def close(self) -> None:
        self.listener.stop(0.0)
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_an_open_association_goes_on_and_a_new_one_meets_the_new_configuration(
    site: Site, tmp_path: Path
) -> None:
    files = small_ct().write(tmp_path / "ct")
    idle = [site.listener.is_idle]
    opened = site.associate("OLD", "SEGNODE")
    assert [*idle, site.listener.is_idle] == [True, False]
    assert opened.send_c_store(files[0]).get("Status") == 0x0000

    site.listener.use(policy("OTHERNODE", "NEW"), Inbox(site.store, 0))
    assert opened.send_c_store(files[1]).get("Status") == 0x0000
    for calling, called in (("OLD", "OTHERNODE"), ("NEW", "SEGNODE")):
        assert site.associate(calling, called).is_rejected
    new = site.associate("NEW", "OTHERNODE")
    assert new.send_c_store(files[2]).get("Status") == 0x0000
    new.release()
    opened.release()


def test_new_limits_apply_to_new_associations_and_to_new_instances(
    site: Site, tmp_path: Path
) -> None:
    (first, *_) = small_ct().write(tmp_path / "ct")
    opened = site.associate("OLD", "SEGNODE")
    full = Inbox(site.store, 1 << 60)  # more than any disk has
    site.listener.use(policy("SEGNODE", "OLD", max_associations=1), full)
    assert opened.send_c_store(first).get("Status") == 0xA700
    assert site.associate("OLD", "SEGNODE").is_rejected
    opened.release()
