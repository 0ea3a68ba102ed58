"""A thousand damaged associations: each ends, with its threads and its socket.

Every second one is by TLS: what is damaged is inside of it.

`make soak` damages SEGNODE_DAMAGED_INSTANCES of them.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.intake.inbox import DIGEST_THREADS
from pacs_listener.commitment import INVALID_ARGUMENT
from pacs_listener.store_status import StoreStatus
from tests.support.dicom import nested_sequences as nested
from tests.support.dicom.damaged_files import damaged
from tests.support.factories import encoded
from tests.support.peers.raw_peer import RawPeer
from tests.support.peers.secure_port import Port, TlsSite
from tests.support.peers.upper_layer import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    associate_rq,
    c_echo,
    c_store,
    n_action,
    n_event_report,
    p_data,
    pdu,
)
from tests.support.processes.listener_process import ListenerProcess
from tests.support.processes.resources_in_use import Rest, memory_mib
from tests.support.waiting import until

CONVERSATIONS = int(os.environ.get("SEGNODE_DAMAGED_INSTANCES", "1000"))
AT_ONCE = 8
# The PDU types that an acceptor sends (PS3.8 9.3.1).
ANSWERS = {ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RP[0], ABORT[0]}
UNEXPECTED_PDUS = (
    RELEASE_RQ,
    RELEASE_RP,
    ABORT,
    associate_rq(),
    pdu(ASSOCIATE_AC, associate_rq()[6:]),
    pdu(ASSOCIATE_RJ, b"\0\1\1\1"),
    pdu(0x09, b"what"),
)
REFERENCES = 0x00081199
# Above the memory after the first associations.
MAX_GROWTH_MIB = 64
SOON_S = 10
# Of the listener: configuration, rejections, certificates and those of peers; digests.
TIMERS = 4 + DIGEST_THREADS


@pytest.fixture
def listener(tmp_path: Path, certificates: TlsSite) -> Iterator[ListenerProcess]:
    """A listener that answers requests for storage commitment."""
    peer = '[peers.attacker]\nae_title = "ATTACKER"\nhost = "127.0.0.1"\nport = 104\n'
    with ListenerProcess(tmp_path / "node" / "data", more=peer, tls=certificates) as process:
        yield process


def ports(listener: ListenerProcess) -> tuple[Port, Port]:
    """The port without TLS, and that with TLS."""
    return listener.port, listener.tls_port


def conversation(number: int, rng: random.Random) -> list[bytes]:
    """The PDUs of an association in order: a request, some messages, a release."""
    uid = f"1.2.3.{number}"
    whole = encoded(sop_instance_uid=uid)
    pdus = [associate_rq()]
    for _ in range(rng.randint(1, 3)):
        pdus += rng.choice(
            [c_store(whole, uid), [c_echo()], n_action(whole), n_event_report(whole)]
        )
    return [*pdus, RELEASE_RQ]


def disturbed(pdus: list[bytes], rng: random.Random) -> list[bytes]:
    """The same PDUs with one defect."""
    changed = list(pdus)
    at = rng.randrange(len(pdus))
    this = pdus[at]
    match rng.randrange(5):
        case 0:
            changed[0] = damaged(pdus[0], rng)
        case 1:
            changed[at] = damaged(this, rng)
        case 2:  # in the body, so that the length stays correct
            changed[at] = pdu(this[0], damaged(this[6:], rng))
        case 3:
            changed.insert(at, rng.choice(UNEXPECTED_PDUS))
        case _:  # in a command or data set, in a value with a correct length
            at = rng.randrange(1, len(pdus) - 1)
            context, control = pdus[at][10:12]
            control = rng.choice([control, rng.randrange(256)])
            changed[at] = p_data(context, control, damaged(pdus[at][12:], rng))
    return changed


def answered_pdu_types(port: Port, number: int) -> list[int]:
    """The types of the PDUs that answer a damaged association, to its end."""
    rng = random.Random(number)
    request, *rest = disturbed(conversation(number, rng), rng)
    waits = rng.random() < 0.9
    with RawPeer(port) as peer:
        peer.send([request])
        pdu_types = []
        # A truncated request is not answered until the connection is shut down.
        if waits and len(request) >= len(associate_rq()):
            peer.socket.settimeout(1)
            try:
                pdu_types.append(peer.read()[0])
            except TimeoutError:
                pdu_types.append(0)
            peer.socket.settimeout(30)
        peer.send(rest)
        try:
            peer.end_sending()
        except OSError:
            return pdu_types
        while pdu_type := peer.read()[0]:
            pdu_types.append(pdu_type)
    return pdu_types


def test_each_damaged_association_ends_and_the_listener_keeps_running(
    listener: ListenerProcess, tmp_path: Path
) -> None:
    both, pid = ports(listener), listener.process.pid
    at_rest = Rest.of(pid)
    answers: Counter[int] = Counter()
    with ThreadPoolExecutor(AT_ONCE) as peers:
        before = 0
        for number, pdu_types in enumerate(
            peers.map(lambda n: answered_pdu_types(both[n % 2], n), range(CONVERSATIONS))
        ):
            answers.update(pdu_types)
            if number == 200:
                before = memory_mib(pid)

    assert answers.keys() - {0} <= ANSWERS
    assert answers[ASSOCIATE_AC] > CONVERSATIONS // 2
    assert answers[ASSOCIATE_RJ] < CONVERSATIONS // 10
    for port in both:
        with RawPeer.associated(port) as peer:
            fine = encoded(sop_instance_uid="1.2.4.1", series_instance_uid="1.2.4")
            assert peer.status(c_store(fine, "1.2.4.1")) == StoreStatus.SUCCESS
    until(lambda: at_rest.is_reached(pid, timers=TIMERS), SOON_S, "all threads to end")
    assert memory_mib(pid) - before < MAX_GROWTH_MIB
    assert {path.name for path in tmp_path.iterdir()} == {"node"}
    assert {path.name for path in (tmp_path / "node").iterdir()} == {"data", "segnode.toml"}
    assert listener.stop() == 0
    assert not any("Exception in thread" in line for line in listener.log)
    print(f"{CONVERSATIONS} conversations, answers by PDU type: {dict(answers)}")


@pytest.mark.parametrize(
    "information",
    [
        b"no data set",
        nested.with_undefined_length(REFERENCES, 10_000),
        nested.with_defined_length(REFERENCES, 10_000),
        nested.with_defined_outer_length(REFERENCES, 10_000),
    ],
    ids=["no data set", "nested", "nested with lengths", "nested and hidden"],
)
def test_unreadable_commitment_data_sets_are_an_invalid_argument(
    listener: ListenerProcess, information: bytes
) -> None:
    for port in ports(listener):
        with RawPeer.associated(port) as peer:
            assert peer.status(n_action(information)) == INVALID_ARGUMENT
            assert peer.status(n_event_report(information)) == INVALID_ARGUMENT
            assert peer.status([c_echo()]) == StoreStatus.SUCCESS
