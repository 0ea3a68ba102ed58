"""The keys of deliveries, and what a person reads instead."""

import pytest

from node.domain.delivery import Delivery, DeliveryKey, DeliveryState, keys_of, not_delivered
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


@pytest.mark.parametrize(
    ("key", "title"),
    [("pacs", "pacs"), ("seg-sparse@pacs", "pacs"), ("report@ehr", "report to ehr")],
)
def test_a_person_reads_the_object_and_its_destination(key: str, title: str) -> None:
    assert DeliveryKey.parse(key).title == title


def test_what_was_not_delivered_is_named_by_destination_and_error() -> None:
    errors = {
        "report@ehr": "its token expired",
        "pacs": "it is down",
        "capture@pacs": "it is down",
        "sr-sparse@pacs": "not accepted",
    }
    parked = [
        Delivery("job", key, DeliveryState.PARKED, 1, None, error, "")
        for key, error in errors.items()
    ]
    assert not_delivered(parked) == (
        "the report was not delivered to ehr: its token expired; "
        "the segmentation and the captures were not delivered to pacs: it is down; "
        "the measurements were not delivered to pacs: not accepted"
    )


def test_the_keys_of_a_destination_name_every_object_once() -> None:
    keys = keys_of("pacs")
    assert {"pacs", "sr@pacs", "seg-labelmap@pacs", "report@pacs"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert {DeliveryKey.parse(key).destination for key in keys} == {"pacs"}
