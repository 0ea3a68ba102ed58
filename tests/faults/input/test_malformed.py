"""Thousands of damaged instances: each is answered, and the listener keeps running.

Every second one is sent by TLS.

`make soak` damages SEGNODE_DAMAGED_INSTANCES of them by each way.
"""

import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from node.dicom.ct.reader import read_series
from node.dimse.pynetdicom_internals import pause_reliably
from node.domain.errors import Rejected
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin
from node.intake.part10 import part10_bytes, received_from_file, received_from_part10
from node.store import Store
from pacs_listener.store_status import StoreStatus
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.dicom.damaged_files import damaged
from tests.support.factories import EXPLICIT, encoded, received
from tests.support.peers.secure_port import Port, TlsSite, number_of, tls_of
from tests.support.peers.upper_layer import BIG_ENDIAN, DEFLATED, IMPLICIT
from tests.support.processes.listener_process import ListenerProcess
from tests.support.processes.resources_in_use import memory_mib

SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
BY_C_STORE = AS_FILES = int(os.environ.get("SEGNODE_DAMAGED_INSTANCES", "1000"))
SERIES_READ = 100
ORIGIN = Origin(Channel.FOLDER, "test")
# Above the memory after the first instances.
MAX_GROWTH_MIB = 64


@pytest.fixture
def listener(tmp_path: Path, certificates: TlsSite) -> Iterator[ListenerProcess]:
    with ListenerProcess(tmp_path / "node" / "data", tls=certificates) as process:
        yield process


def associate(port: Port) -> Association:
    entity = AE("MODALITY")
    for syntax in SYNTAXES:
        entity.add_requested_context(CTImageStorage, syntax)
    association = entity.associate(
        "127.0.0.1", number_of(port), ae_title="SEGNODE", tls_args=tls_of(port)
    )
    pause_reliably(association)
    assert association.is_established
    assert association.dul.socket is not None
    connection = association.dul.socket.socket
    assert connection is not None
    # Otherwise each small message waits for the acknowledgement of the one before.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # As `send_c_store` does, so that the reactor does not consume the responses.
    association._reactor_checkpoint.clear()
    return association


def release(association: Association) -> None:
    association._reactor_checkpoint.set()
    association.release()


def store(association: Association, dataset: bytes, sop_uid: str, syntax: str) -> int:
    """The status of a C-STORE with these bytes."""
    (context,) = (c for c in association.accepted_contexts if c.transfer_syntax[0] == syntax)
    assert context.context_id is not None
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = CTImageStorage
    request.AffectedSOPInstanceUID = sop_uid
    request.Priority = 2
    request.DataSet = BytesIO(dataset)
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    assert isinstance(answer, C_STORE), "the listener did not answer"
    assert answer.Status is not None
    return answer.Status


def test_every_damaged_instance_is_answered_and_nothing_is_written_outside_the_store(
    listener: ListenerProcess, tmp_path: Path
) -> None:
    rng = random.Random(7)
    statuses: Counter[int] = Counter()
    associations = [associate(port) for port in (listener.port, listener.tls_port)]
    before = 0
    for number in range(BY_C_STORE):
        uid, syntax = f"1.2.3.{number}", rng.choice(SYNTAXES)
        whole = encoded(sop_instance_uid=uid, transfer_syntax_uid=syntax)
        statuses[store(associations[number % 2], damaged(whole, rng), uid, syntax)] += 1
        if number == 200:
            before = memory_mib(listener.process.pid)
    for association in associations:
        release(association)

    assert statuses.keys() <= {int(status) for status in StoreStatus} - {StoreStatus.DEFECT}
    assert statuses[StoreStatus.CANNOT_UNDERSTAND] > BY_C_STORE // 4
    assert memory_mib(listener.process.pid) - before < MAX_GROWTH_MIB
    assert {path.name for path in tmp_path.iterdir()} == {"node"}
    assert {path.name for path in (tmp_path / "node").iterdir()} == {"data", "segnode.toml"}
    data_dir = tmp_path / "node" / "data"
    kept = 0
    for path in (data_dir / "instances").rglob("*.dcm"):
        instance = received_from_file(path, ORIGIN)
        expected = Path(instance.series_instance_uid) / f"{instance.sop_instance_uid}.dcm"
        assert path.relative_to(data_dir / "instances") == expected
        kept += 1
    index = Store.open(f"sqlite:///{data_dir / 'segnode.db'}", data_dir)
    assert index.count_instances() == kept
    index.close()
    # The listener still accepts valid instances.
    again = associate(listener.port)
    fine = encoded(sop_instance_uid="1.2.4.1", series_instance_uid="1.2.4")
    assert store(again, fine, "1.2.4.1", EXPLICIT) == StoreStatus.SUCCESS
    release(again)
    assert listener.stop() == 0
    lines = sum('"instance.refused"' in line for line in listener.log)
    assert any('"log.limited"' in line for line in listener.log)
    assert lines < sum(statuses.values()) // 2


def test_a_damaged_file_is_read_or_refused_with_a_reason() -> None:
    rng = random.Random(8)
    refused = 0
    for _ in range(AS_FILES):
        syntax = rng.choice(SYNTAXES)
        dataset = encoded(transfer_syntax_uid=syntax)
        instance = replace(received(dataset=dataset), transfer_syntax_uid=Uid(syntax))
        try:
            received_from_part10(damaged(part10_bytes(instance), rng), ORIGIN)
        except Rejected as error:
            assert str(error)
            refused += 1
    assert refused > AS_FILES // 4


# pydicom warns of what it corrects.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_series_with_a_damaged_slice_is_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    rng = random.Random(9)
    files = ct_series(geometry=grid(slices=4, rows=8, columns=8)).write(tmp_path)
    whole = files[1].read_bytes()
    refused = 0
    for _ in range(SERIES_READ):
        files[1].write_bytes(damaged(whole, rng))
        try:
            read_series(files)
        except Rejected as error:
            assert str(error)
            refused += 1
    assert refused > SERIES_READ // 4
