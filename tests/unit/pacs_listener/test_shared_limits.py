"""Counts that listener processes share, without a network."""

import os
from datetime import timedelta

import pytest

from node.domain.identifiers import AeTitle
from pacs_listener.policy import Quota, SenderPolicy, processes_of
from pacs_listener.processes.shared_limits import SharedLimits, digest_of
from pacs_listener.quotas import QuotaReached, Quotas
from tests.support.factories import NOON

HERE, THERE = digest_of("192.0.2.1"), digest_of("192.0.2.2")
LIMITED = [SenderPolicy(AeTitle("CT1"), quota=Quota(images_per_minute=3))]


@pytest.fixture
def created() -> SharedLimits:
    return SharedLimits.create(2)


def test_each_process_sees_what_both_have_counted(created: SharedLimits) -> None:
    first, second = created.of_process(0), created.of_process(1)
    first.set_connections(3)
    assert second.connections == {0: 3}  # the second does not accept yet
    second.set_connections(1)
    first.set_buffered_bytes(1000)
    second.set_buffered_bytes(24)
    first.set_addresses([HERE, THERE])
    second.set_addresses([HERE])
    for each in (first, second):
        assert each.connections == {0: 3, 1: 1}
        assert each.buffered_bytes == 1024
        assert sorted(each.addresses()) == sorted([HERE, HERE, THERE])


def test_a_process_that_starts_again_has_counted_nothing(created: SharedLimits) -> None:
    first, second = created.of_process(0), created.of_process(1)
    for each in (first, second):
        each.set_connections(3)
        each.set_buffered_bytes(5)
        each.set_addresses([HERE])
    created.of_process(0)
    assert second.connections == {1: 3}
    assert second.buffered_bytes == 5
    assert second.addresses() == [HERE]


def test_more_associations_than_there_can_be_change_no_other_count(created: SharedLimits) -> None:
    first, second = created.of_process(0), created.of_process(1)
    second.set_addresses([THERE])
    first.set_addresses([HERE] * 5000)
    assert second.addresses().count(HERE) == 1000
    assert second.addresses().count(THERE) == 1


def test_one_quota_is_counted_by_both_processes(created: SharedLimits) -> None:
    now = NOON
    both = [Quotas(lambda: now, created.of_process(number)) for number in range(2)]
    for quotas in (both[0], both[1], both[1]):
        quotas.check("CT1", LIMITED)
        quotas.count("CT1", LIMITED, 1000)
    for quotas in both:
        with pytest.raises(QuotaReached, match="3 images"):
            quotas.check("CT1", LIMITED)
    now += timedelta(minutes=1)
    both[0].check("CT1", LIMITED)


def test_more_titles_than_are_counted_replace_each_other(created: SharedLimits) -> None:
    limits = created.of_process(0)
    with limits.exclusively():
        for number in range(3000):
            title = digest_of(f"CT{number}")
            assert limits.sent(title) == (0, 0, 0, 0)
            limits.set_sent(title, 1, number, 2, 3)
            assert limits.sent(title) == (1, number, 2, 3)


def test_a_process_that_ends_within_a_count_leaves_no_lock(created: SharedLimits) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        created.of_process(1).exclusively().__enter__()
        os.write(writing, b"1")
        os._exit(0)
    assert os.read(reading, 1) == b"1"
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    with created.of_process(0).exclusively():  # would wait without an end
        pass


@pytest.mark.parametrize(
    ("configured", "cores", "expected"), [(None, 2, 1), (None, 4, 2), (None, 64, 2), (3, 1, 3)]
)
def test_the_number_of_processes_follows_the_cores(
    configured: int | None, cores: int, expected: int
) -> None:
    assert processes_of(configured, cores) == expected
