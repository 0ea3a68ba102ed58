"""The keys of deliveries."""

import pytest

from node.domain.delivery import DeliveryKey, keys_of
from node.domain.result_objects import SEG, ResultKind, ResultObject, SegEncoding

_REPORT = ResultObject(ResultKind.SR, SegEncoding.LABELMAP)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (DeliveryKey("pacs"), "pacs"),
        (DeliveryKey("pacs", _REPORT), "sr-labelmap@pacs"),
        (DeliveryKey("a @ b", ResultObject(ResultKind.PDF)), "pdf@a @ b"),
        (DeliveryKey("me@home", SEG), "me@home"),
    ],
)
def test_a_key_and_its_text(key: DeliveryKey, text: str) -> None:
    assert str(key) == text
    assert DeliveryKey.parse(text) == key


def test_the_keys_of_a_destination_name_every_object_once() -> None:
    keys = keys_of("pacs")
    assert {"pacs", "sr@pacs", "seg-labelmap@pacs", "report@pacs"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert {DeliveryKey.parse(key).destination for key in keys} == {"pacs"}
