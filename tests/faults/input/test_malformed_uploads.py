"""Hundreds of damaged STOW-RS requests: each is answered, none with a server error.

They are sent by HTTPS, with a token.

`make soak` damages SEGNODE_DAMAGED_INSTANCES of them.
"""

import os
import random
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin
from node.intake.part10 import part10_bytes, received_from_file
from tests.support.dicom import nested_sequences as nested
from tests.support.dicom.damaged_files import damaged
from tests.support.dicom.invalid_uids import (
    INVALID_UIDS,
    SERIES,
    SOP,
    STUDY,
    dataset_with_uid,
    padded,
)
from tests.support.factories import EXPLICIT, encoded, received
from tests.support.peers.upper_layer import BIG_ENDIAN, DEFLATED, IMPLICIT
from tests.support.servers.secured_node import SecuredNode, secured_node

FILES = int(os.environ.get("SEGNODE_DAMAGED_INSTANCES", "300"))
MESSAGES = FILES // 2
SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
MULTIPART = 'multipart/related; type="application/dicom"; boundary=next'
START, END = b"--next\r\nContent-Type: application/dicom\r\n\r\n", b"\r\n--next--\r\n"


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredNode]:
    folder = tmp_path / "node"
    folder.mkdir()
    with secured_node(folder) as served:
        yield served


@pytest.fixture
def client(secured: SecuredNode) -> Iterator[httpx.Client]:
    """A client of the node; afterwards the node must work and have written nothing elsewhere."""
    with secured.program(secured.node.dicomweb_url) as made:
        yield made
        # The node still accepts valid instances, and has written nothing outside its data folder.
        answer = made.post("/studies", content=file("1.2.4.1"), headers=content("dicom"))
    assert answer.status_code == 200
    data_dir = secured.node.settings.data_dir
    assert {path.name for path in data_dir.parent.iterdir()} == {"data", "segnode.toml"}
    for path in data_dir.rglob("*.dcm"):
        instance = received_from_file(path, Origin(Channel.FOLDER, "test"))
        expected = Path(instance.series_instance_uid) / f"{instance.sop_instance_uid}.dcm"
        assert path.relative_to(data_dir / "instances") == expected


def file(uid: str, syntax: str = EXPLICIT) -> bytes:
    """An instance as a DICOM file."""
    dataset = encoded(sop_instance_uid=uid, transfer_syntax_uid=syntax)
    instance = received(sop_instance_uid=uid, dataset=dataset)
    return part10_bytes(replace(instance, transfer_syntax_uid=Uid(syntax)))


def content(media_type: str) -> dict[str, str]:
    return {"Content-Type": f"application/{media_type}" if media_type == "dicom" else media_type}


def test_a_damaged_file_is_stored_or_refused(client: httpx.Client) -> None:
    rng = random.Random(12)
    answers: Counter[int] = Counter()
    for number in range(FILES):
        whole = damaged(file(f"1.2.3.{number}", rng.choice(SYNTAXES)), rng)
        if rng.random() < 0.5:
            answer = client.post("/studies", content=whole, headers=content("dicom"))
        else:
            message = START + whole + END
            answer = client.post("/studies", content=message, headers=content(MULTIPART))
        answers[answer.status_code] += 1
    print(f"damaged files: {dict(answers)}")
    # 202 where the damage has added a delimiter to the file.
    assert answers.keys() <= {200, 202, 400, 409}
    assert answers[200] > FILES // 30
    assert answers[409] > FILES // 3


def test_a_damaged_message_is_answered(client: httpx.Client) -> None:
    rng = random.Random(13)
    answers: Counter[int] = Counter()
    media_types = (
        MULTIPART,
        MULTIPART,
        MULTIPART,
        "multipart/related",
        "multipart/mixed; boundary=",
        "x",
    )
    for number in range(MESSAGES):
        whole = START + file(f"1.2.3.{number}") + b"\r\n" + START + file("1.2.3") + END
        media_type = rng.choice(media_types)
        study = rng.choice(["", "", "/1.2", "/..%2f..%2fx", "/" + "1." * 2000])
        answer = client.post(
            f"/studies{study}", content=damaged(whole, rng), headers=content(media_type)
        )
        answers[answer.status_code] += 1
    print(f"damaged messages: {dict(answers)}")
    assert answers.keys() <= {200, 202, 400, 404, 405, 409, 415}


@pytest.mark.parametrize("uid", INVALID_UIDS.values(), ids=INVALID_UIDS)
def test_an_invalid_uid_never_becomes_a_file_name(client: httpx.Client, uid: bytes) -> None:
    for tag in (SOP, STUDY, SERIES):
        whole = part10_bytes(received(dataset=dataset_with_uid(tag, uid)))
        answer = client.post("/studies", content=whole, headers=content("dicom"))
        assert answer.status_code == 409
    # The UID of the file meta information is written into a data set that has none.
    whole = part10_bytes(received(sop_instance_uid="1.2.3.99", dataset=dataset_with_uid(SOP, b"")))
    odd = b"UI" + struct.pack("<H", len(padded(uid))) + padded(uid)
    changed = whole.replace(b"UI\x08\x001.2.3.99", odd)
    assert changed != whole
    assert client.post("/studies", content=changed, headers=content("dicom")).status_code == 409


@pytest.mark.parametrize(
    ("nesting", "status"),
    [
        (nested.with_undefined_length, 409),
        (nested.with_defined_length, 200),
        (nested.with_defined_outer_length, 200),
    ],
)
def test_sequences_nested_without_end_are_answered(
    client: httpx.Client, nesting: nested.Nesting, status: int
) -> None:
    for tag in (0x00080006, 0x00081111):
        whole = part10_bytes(received(dataset=nesting(tag, 10_000) + encoded()))
        answer = client.post("/studies", content=whole, headers=content("dicom"))
        assert answer.status_code == status
