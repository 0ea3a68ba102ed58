"""Requests by HTTPS, with a token, for stored files that a bad disk has damaged."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from node.domain.instance import Channel, Origin
from node.domain.series import StoredInstance, StoredSeries
from node.intake.dataset_elements import Encoding, iter_elements
from node.intake.part10 import part10_header, received_from_file
from tests.support.dicom import nested_sequences as nested
from tests.support.dicom.damaged_files import damaged
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.secured_node import SecuredNode, secured_node
from tests.support.servers.served_node import ServedNode

# pydicom warns about what it corrects, and does not close a file that it fails to read.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
)
FILES_PER_SYNTAX = 80
# The size of the file meta information and the header, a small part of a file of this size.
HEAD_BYTES = 2000
ANSWERS = {200, 204, 404, 406, 503}
DICOM = "application/dicom"
REQUESTS = (
    ("{instance}/metadata", "*/*"),
    ("{instance}/rendered", "*/*"),
    ("{instance}/rendered", "image/png"),
    ("{instance}/frames/1", "*/*"),
    ("{instance}/frames/1", 'multipart/related; type="image/jp2"'),
    ("{instance}", DICOM),
    ("{instance}", f"{DICOM}; transfer-syntax=*"),
    ("{series}/instances?includefield=all", "*/*"),
    ("{series}/instances?includefield=SliceThickness&PatientName=Roe*", "*/*"),
    ("{root}/studies", "*/*"),
)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredNode]:
    folder = tmp_path / "node"
    folder.mkdir()
    with secured_node(folder) as served:
        yield served


@pytest.fixture
def node(secured: SecuredNode) -> ServedNode:
    return secured.node


@pytest.fixture
def client(secured: SecuredNode) -> Iterator[httpx.Client]:
    """A program with a token, by HTTPS."""
    with secured.program() as program:
        yield program


def first_of(node: ServedNode, series: StoredSeries) -> StoredInstance:
    return node.store.instances_of(series.series_instance_uid)[0]


def urls(node: ServedNode, series: StoredSeries) -> dict[str, str]:
    """Returns the URLs of the DICOMweb root, the series and its first instance."""
    root = node.dicomweb_url
    of_series = f"{root}/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"
    instance = f"{of_series}/instances/{first_of(node, series).sop_instance_uid}"
    return {"root": root, "series": of_series, "instance": instance}


@pytest.mark.parametrize("syntax", SYNTAXES, ids=[syntax.name for syntax in SYNTAXES])
def test_a_damaged_file_is_served_or_an_error(
    node: ServedNode, client: httpx.Client, syntax: str, tmp_path: Path
) -> None:
    rng = random.Random(11)
    series = node.receive(small_ct(syntax), tmp_path / "ct")
    where, file = urls(node, series), first_of(node, series).path
    whole = file.read_bytes()
    answers: Counter[int] = Counter()
    for _ in range(FILES_PER_SYNTAX):
        if rng.random() < 0.5:
            file.write_bytes(damaged(whole, rng))
        else:
            file.write_bytes(damaged(whole[:HEAD_BYTES], rng) + whole[HEAD_BYTES:])
        for path, media_type in rng.sample(REQUESTS, 4):
            answer = client.get(path.format(**where), headers={"Accept": media_type})
            answers[answer.status_code] += 1
    print(f"{syntax}: {dict(answers)}")
    assert answers.keys() <= ANSWERS
    assert answers[503] > FILES_PER_SYNTAX // 4
    assert answers[200] > FILES_PER_SYNTAX


@pytest.mark.parametrize(
    "nesting",
    [
        nested.with_undefined_length,
        nested.with_defined_length,
        nested.with_defined_outer_length,
    ],
)
def test_a_file_that_is_nested_without_end_is_given_out_as_it_is_or_not_at_all(
    node: ServedNode, client: httpx.Client, tmp_path: Path, nesting: nested.Nesting
) -> None:
    series = node.receive(small_ct(), tmp_path / "ct")
    where, file = urls(node, series), first_of(node, series).path
    received = received_from_file(file, Origin(Channel.FOLDER, "test"))
    tag = 0x00400275  # Request Attributes Sequence, which a search returns
    elements = iter_elements(received.dataset, Encoding.for_transfer_syntax(ExplicitVRLittleEndian))
    at = next(element.offset for element in elements if element.tag > tag)
    deep = received.dataset[:at] + nesting(tag, 10_000) + received.dataset[at:]
    file.write_bytes(part10_header(received) + deep)

    assert client.get(f"{where['instance']}/metadata").status_code == 503
    found = client.get(f"{where['series']}/instances").json()
    assert len(found) == series.instance_count
    as_it_is = client.get(where["instance"], headers={"Accept": f"{DICOM}; transfer-syntax=*"})
    assert as_it_is.content == file.read_bytes()


def test_of_a_series_with_a_damaged_file_nothing_is_left_out_in_silence(
    node: ServedNode, client: httpx.Client, tmp_path: Path
) -> None:
    series = node.receive(small_ct(), tmp_path / "ct")
    url = f"{urls(node, series)['series']}/metadata"
    first, second, *_ = (i.path for i in node.store.instances_of(series.series_instance_uid))
    whole = second.read_bytes()
    second.write_bytes(b"damaged")
    # The answer has begun when that one is read.
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(url)
    second.write_bytes(whole)
    first.write_bytes(b"damaged")
    answer = client.get(url)
    assert answer.status_code == 503
    assert first.stem in answer.json()["message"]


def test_numbers_of_frames_that_no_image_has_are_refused(
    node: ServedNode, client: httpx.Client, tmp_path: Path
) -> None:
    instance = urls(node, node.receive(small_ct(), tmp_path / "ct"))["instance"]
    for number, status in (("2", 404), ("0", 400), ("-1", 400), ("x", 400), ("9" * 5000, 400)):
        assert client.get(f"{instance}/frames/{number}").status_code == status
    assert client.get(f"{instance}/frames/{'9' * 5000}/rendered").status_code in {404, 422}


def test_a_frame_that_ends_too_early_is_not_given_out(
    node: ServedNode, client: httpx.Client, tmp_path: Path
) -> None:
    series = node.receive(small_ct(), tmp_path / "ct")
    file = first_of(node, series).path
    file.write_bytes(file.read_bytes()[:-100])
    answer = client.get(f"{urls(node, series)['instance']}/frames/1")
    assert answer.status_code == 503
