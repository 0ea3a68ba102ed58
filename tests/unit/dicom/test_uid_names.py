"""Messages name SOP classes and transfer syntaxes, also those newer than pydicom's dictionary."""

import pytest
from pydicom.uid import CTImageStorage

from node.dicom.results.encoders import encode
from node.dicom.uid_names import uid_name
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from tests.support.dicom.measured_content import body_content


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        (CTImageStorage, "CT Image Storage"),
        ("1.2.840.10008.5.1.4.1.1.66.7", "Label Map Segmentation Storage"),
        ("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression"),
        ("1.2.3.4", "1.2.3.4"),
    ],
)
def test_a_uid_has_the_name_of_the_standard(uid: str, name: str) -> None:
    assert uid_name(uid) == name


def test_every_object_of_the_node_has_a_named_class(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = body_content(tmp_path_factory.mktemp("ct"))
    kinds = set(ResultKind) - {ResultKind.NOTICE, ResultKind.REPORT}
    objects = {ResultObject.of(kind, encoding) for kind in kinds for encoding in SegEncoding}
    for each in objects:
        dataset = next(iter(encode(content, each)))
        for uid in (dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID):
            assert uid_name(uid) != uid, each.name
