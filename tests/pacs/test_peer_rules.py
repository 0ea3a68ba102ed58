"""Rules about peers: who may associate from where and as whom, what they may do, and how much."""

import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from node.domain.connections.rejected_connection import ListenerRejection
from node.intake import header_limits
from pacs_listener.admission import FREE_WRONG_IDENTITIES, Admission
from tests.support.dicom.small_ct import small_ct
from tests.support.factories import NOON
from tests.support.peers import upper_layer
from tests.support.peers.raw_peer import RawPeer
from tests.support.servers.ruled_listener import RuledListener, dcmtk, ruled_listener
from tests.unit.cli.test_cli import run

NEAR = 'addresses = ["127.0.0.0/8", "2001:db8::/32"]'
FAR = 'addresses = ["192.0.2.0/24"]'
ASSOCIATE_RJ = 0x03
CALLING_NOT_RECOGNIZED = (1, 1, 3)
IDENTITY_REJECTED = (1, 2, 1)
TEMPORARY_CONGESTION = (2, 3, 1)
STORED, NOT_AUTHORIZED, OUT_OF_RESOURCES = 0x0000, 0x0124, 0xA700
CANNOT_UNDERSTAND = 0xC000


def peer(text: str, name: str = "ct1", title: str = "CT1") -> str:
    return f'[peers.{name}]\nae_title = "{title}"\nhost = "192.0.2.1"\nport = 104\n{text}\n'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuledListener]:
    with ruled_listener(tmp_path_factory.mktemp("listener"), "") as running:
        yield running


@pytest.fixture
def listener(shared: RuledListener) -> RuledListener:
    """The listener of the module; what it has rejected before is counted already."""
    shared.rejections()
    return shared


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return small_ct().write(tmp_path_factory.mktemp("ct"))


def associate(listener: RuledListener, calling: str = "CT1") -> Association:
    entity = AE(calling)
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    return entity.associate("127.0.0.1", listener.port, ae_title="SEGNODE")


def answer(
    listener: RuledListener, calling: str = "CT1", identity: bytes = b""
) -> tuple[int, int, int] | None:
    """Result, source and reason of a rejected association; None where it is accepted."""
    request = upper_layer.associate_rq(user=identity)
    with RawPeer(listener.port) as peer:
        peer.send([request.replace(b"ATTACKER".ljust(16), calling.encode().ljust(16))])
        pdu_type, body = peer.read()
    if pdu_type == upper_layer.ASSOCIATE_AC:
        return None
    assert pdu_type == ASSOCIATE_RJ
    return body[1], body[2], body[3]


def test_a_peer_may_come_from_its_addresses_alone(listener: RuledListener) -> None:
    listener.use(peer(NEAR))
    assert answer(listener) is None
    listener.use(peer(FAR))
    assert answer(listener) == CALLING_NOT_RECOGNIZED
    assert listener.next_rejections() == {ListenerRejection.ADDRESS: 1}


def test_one_of_several_peers_with_an_ae_title_is_enough(listener: RuledListener) -> None:
    listener.use(peer(FAR) + peer(NEAR, "ct2"))
    assert answer(listener) is None


def test_what_a_peer_may_do_is_not_lent_to_another_with_its_ae_title(
    listener: RuledListener, images: list[Path]
) -> None:
    listener.use(peer(FAR) + peer(f"{NEAR}\nmay = []", "ct2"))
    association = associate(listener)
    assert association.send_c_store(images[0]).get("Status") == NOT_AUTHORIZED
    association.release()


def test_a_defect_of_the_rules_admits_nobody(
    listener: RuledListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Admission, "refusal", fail)
    assert answer(listener) == TEMPORARY_CONGESTION


def test_a_command_that_this_node_itself_refuses_says_what_to_do(
    listener: RuledListener,
    images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listener.use(peer(NEAR))
    config = tmp_path / "site.toml"
    config.write_text(
        f'data_dir = "data"\n[listener]\nport = {listener.port}\n[peers.ct1]\nae_title = "CT1"\n'
        'host = "127.0.0.1"\nport = 104\n',
        encoding="utf-8",
    )
    itself, files = f"SEGNODE@127.0.0.1:{listener.port}", str(images[0])
    for command in (("echo", itself), ("send", itself, files)):
        assert run(monkeypatch, *command, "-c", str(config)) == 1
        shown = " ".join(capsys.readouterr().err.split())
        assert "seems to be this node, which accepts only its peers (CT1)" in shown
        assert "SEGNODE from this machine is none of them" in shown
    assert run(monkeypatch, "send", itself, files, "--calling", "CT1", "-c", str(config)) == 0


def test_nobody_may_send_where_only_peers_may_and_there_is_none(listener: RuledListener) -> None:
    listener.use('accept_from = "peers"')
    assert answer(listener) == CALLING_NOT_RECOGNIZED
    assert listener.next_rejections() == {ListenerRejection.CALLING_AE_TITLE: 1}


def test_anybody_may_send_where_the_site_says_so_and_rules_apply_to_peers(
    listener: RuledListener,
) -> None:
    listener.use('accept_from = "any"\n' + peer(FAR))
    assert answer(listener, "STRANGER") is None
    assert answer(listener) == CALLING_NOT_RECOGNIZED
    assert listener.next_rejections() == {ListenerRejection.ADDRESS: 1}


def test_a_peer_that_may_not_store_is_told_so_and_nothing_is_stored(
    listener: RuledListener, images: list[Path]
) -> None:
    listener.use(peer('may = ["commit"]'))
    before = listener.stored_images()
    association = associate(listener)
    assert association.send_c_store(images[0]).get("Status") == NOT_AUTHORIZED
    association.release()
    assert listener.stored_images() == before
    assert listener.next_rejections() == {ListenerRejection.INSTANCE: 1}


def identity(kind: int, name: str, password: str = "") -> bytes:
    """A user identity item of a request (PS3.7 D.3.3.7.1)."""
    fields = b"".join(
        struct.pack(">H", len(text.encode())) + text.encode() for text in (name, password)
    )
    return upper_layer.item(0x58, bytes([kind, 0]) + fields)


VERIFIED = 'user_identity = "verified"\n'
WITH_PASSWORD = VERIFIED + peer('username = "röntgen"\npassword_env = "CT1_PASSWORD"')
BY_NAME = VERIFIED + peer('username = "röntgen"')
IDENTITIES = {
    "rejected": ('user_identity = "rejected"', identity(1, "anybody"), False),
    "none where it is rejected": ('user_identity = "rejected"', b"", True),
    "ignored": ("", identity(2, "anybody", "wrong"), True),
    "name and password": (WITH_PASSWORD, identity(2, "röntgen", "secret"), True),
    "a wrong password": (WITH_PASSWORD, identity(2, "röntgen", "wrong"), False),
    "a wrong name": (WITH_PASSWORD, identity(2, "another", "secret"), False),
    "a name without the password": (WITH_PASSWORD, identity(1, "röntgen"), False),
    "a token": (WITH_PASSWORD, identity(5, "röntgen"), False),
    "none": (WITH_PASSWORD, b"", False),
    "a name": (BY_NAME, identity(1, "röntgen"), True),
    "one of a peer that has none": (VERIFIED + peer(""), identity(1, "anybody"), False),
    "none of a peer that has none": (VERIFIED + peer(""), b"", True),
    "one of no peer": (VERIFIED, identity(1, "anybody"), False),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_a_user_identity_is_accepted_or_rejected_by_the_setting(
    listener: RuledListener, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("CT1_PASSWORD", "secret")
    text, given, accepted = IDENTITIES[case]
    listener.use(text)
    assert answer(listener, identity=given) == (None if accepted else IDENTITY_REJECTED)
    if not accepted:
        assert listener.next_rejections() == {ListenerRejection.USER_IDENTITY: 1}


def test_guessing_a_passcode_takes_longer_and_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CT1_PASSWORD", "secret")
    text = WITH_PASSWORD + peer('username = "other"', "ct2", "CT2")
    right, wrong = identity(2, "röntgen", "secret"), identity(2, "röntgen", "a guess")
    time = [NOON]
    with ruled_listener(tmp_path, text, lambda: time[0]) as listener:
        for _ in range(FREE_WRONG_IDENTITIES):
            assert answer(listener, identity=wrong) == IDENTITY_REJECTED
        assert answer(listener, identity=right) == TEMPORARY_CONGESTION, "not even compared"
        assert answer(listener, "CT2", identity(1, "other")) is None, "another peer is not"
        time[0] += timedelta(seconds=2)
        assert answer(listener, identity=wrong) == IDENTITY_REJECTED
        time[0] += timedelta(seconds=2)
        assert answer(listener, identity=right) == TEMPORARY_CONGESTION, "the time has doubled"
        time[0] += timedelta(minutes=5)
        assert answer(listener, identity=right) is None
        assert answer(listener, identity=wrong) == IDENTITY_REJECTED, "the count begins again"
        assert listener.rejections() == {ListenerRejection.USER_IDENTITY: 14}


def test_a_renewed_password_counts_at_once_and_a_missing_one_is_a_temporary_refusal(
    listener: RuledListener, tmp_path: Path
) -> None:
    file = tmp_path / "ct1-password"
    file.touch(mode=0o600)
    file.write_text("first")
    listener.use(VERIFIED + peer(f'username = "ct"\npassword_file = "{file}"'))
    assert answer(listener, identity=identity(2, "ct", "first")) is None
    file.write_text("second\n")
    assert answer(listener, identity=identity(2, "ct", "first")) == IDENTITY_REJECTED
    assert answer(listener, identity=identity(2, "ct", "second")) is None
    file.unlink()
    assert answer(listener, identity=identity(2, "ct", "second")) == TEMPORARY_CONGESTION
    assert listener.next_rejections() == {ListenerRejection.USER_IDENTITY: 2}


def test_dcmtk_is_verified_by_name_and_password(
    listener: RuledListener, monkeypatch: pytest.MonkeyPatch, images: list[Path]
) -> None:
    monkeypatch.setenv("CT1_PASSWORD", "secret")
    listener.use(WITH_PASSWORD.replace("röntgen", "modality"))
    address = ["-aet", "CT1", "-aec", "SEGNODE", "127.0.0.1", listener.port, images[0]]
    login = ["--user", "modality", "--password"]
    assert dcmtk("storescu", *login, "wrong", *address).returncode != 0
    assert dcmtk("storescu", *login, "secret", *address).returncode == 0


def test_a_sender_that_repeats_a_series_gets_beyond_what_its_limit_let_through(
    tmp_path: Path, images: list[Path]
) -> None:
    times = [NOON]
    limited = peer("max_images_per_minute = 2")
    with ruled_listener(tmp_path, limited, lambda: times[-1]) as listener:
        for count in (2, 4):
            association = associate(listener)
            for image in images[:4]:
                association.send_c_store(image)
            association.release()
            assert listener.stored_images() == count
            times.append(NOON + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("max_images_per_minute = 2", ListenerRejection.IMAGES_PER_MINUTE),
        ("max_gib_per_day = 0.0000100", ListenerRejection.GIB_PER_DAY),
    ],
)
def test_beyond_its_limit_a_peer_must_send_again_and_what_was_acknowledged_stays(
    tmp_path: Path, images: list[Path], limit: str, reason: ListenerRejection
) -> None:
    text = peer(limit) + peer("", "ct2", "CT2")
    with ruled_listener(tmp_path, text, lambda: NOON) as listener:
        association = associate(listener)
        statuses = [association.send_c_store(image).get("Status") for image in images[:4]]
        association.release()
        acknowledged = statuses.count(STORED)
        assert statuses[:2] == [STORED, STORED]
        assert statuses[-1] == OUT_OF_RESOURCES
        assert listener.stored_images() == acknowledged
        (missing,) = listener.store.incomplete_series().values()
        assert missing.refused == 4 - acknowledged
        assert answer(listener) == TEMPORARY_CONGESTION
        counts = listener.next_rejections()
        assert counts == {reason: 4 - acknowledged + 1}
        other = associate(listener, "CT2")
        assert other.send_c_store(images[3]).get("Status") == STORED
        other.release()


def test_an_image_that_the_node_cannot_accept_is_missing(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_limits, "MAX_ITEMS", 10)
    first, second = (dcmread(image) for image in images[:2])
    series = first.SeriesInstanceUID
    with ruled_listener(tmp_path, peer("")) as listener:
        association = associate(listener)
        assert association.send_c_store(first).get("Status") == STORED
        second.add_new(0x00091010, "SQ", [Dataset() for _ in range(20)])
        assert association.send_c_store(second).get("Status") == CANNOT_UNDERSTAND
        association.release()
        missing = listener.store.incomplete_series()[series]
        assert (missing.refused, "10 items" in missing.reason) == (1, True)


def test_a_series_is_incomplete_while_its_sender_is_turned_away(
    tmp_path: Path, images: list[Path]
) -> None:
    with ruled_listener(tmp_path, "max_associations = 2\n" + peer(NEAR)) as listener:
        association = associate(listener)
        assert association.send_c_store(images[0]).get("Status") == STORED
        others = [associate(listener) for _ in range(3)]
        assert any(other.is_rejected for other in others)
        (missing,) = listener.store.incomplete_series().values()
        assert "max_associations is 2" in missing.text
        assert association.send_c_store(images[1]).get("Status") == STORED
        assert listener.store.incomplete_series() == {}
        for each in (association, *others):
            if each.is_established:
                each.release()
