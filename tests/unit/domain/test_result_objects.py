"""Names and UIDs of the objects of a job."""

from itertools import product

import pytest

from node.domain.result_objects import (
    SEG,
    ObjectUids,
    ResultKind,
    ResultObject,
    SegEncoding,
    tracking_uid,
)

_ALL = sorted(
    {ResultObject.of(kind, encoding) for kind, encoding in product(ResultKind, SegEncoding)}
)


@pytest.mark.parametrize("result_object", _ALL, ids=lambda each: each.name)
def test_a_name_identifies_an_object(result_object: ResultObject) -> None:
    assert ResultObject.parse(result_object.name) == result_object


def test_the_names_are_those_of_the_documentation() -> None:
    assert {each.name for each in _ALL} == {
        "seg", "seg-sparse", "seg-labelmap", "sr", "sr-sparse", "sr-labelmap",
        "capture", "summary", "pdf", "rtstruct", "notice", "report",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "sr-dense", "picture"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        ResultObject.parse(name)


def test_a_report_references_the_seg_of_its_encoding() -> None:
    report = ResultObject(ResultKind.SR, SegEncoding.LABELMAP)
    assert report.segmentation == ResultObject(ResultKind.SEG, SegEncoding.LABELMAP)


def test_the_first_seg_keeps_the_uids_of_earlier_versions() -> None:
    uids = ObjectUids("job", SEG)
    assert uids.series_instance_uid == "2.25.292530564658600660237803901100199529096"
    assert uids.sop_instance_uid() == "2.25.210595579477350201391778428384322012064"
    assert tracking_uid("job", 1, label_count=1) == "2.25.336200739068620755775061843652577200905"


def test_all_uids_of_a_job_differ() -> None:
    uids = [ObjectUids("job", each) for each in _ALL]
    minted = [u.series_instance_uid for u in uids]
    minted += [u.sop_instance_uid(number) for u in uids for number in (1, 2, 3)]
    minted += [u.derived_uid("dimensions") for u in uids]
    minted += [tracking_uid("job", index, label_count=2) for index in (1, 2)]
    assert len(set(minted)) == len(minted)
    assert ObjectUids("another job", SEG).sop_instance_uid() not in minted
