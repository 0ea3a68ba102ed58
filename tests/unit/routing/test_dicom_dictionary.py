"""The lightweight DICOM dictionary agrees with pydicom's."""

import subprocess
import sys
from pathlib import Path

from pydicom.datadict import dictionary_description, dictionary_VM, dictionary_VR, keyword_dict

from node.routing.dicom_dictionary import entries_by_keyword

PROGRAM = """\
import sys
from node.routing.dicom_dictionary import entries_by_keyword
print(hex(entries_by_keyword()["PatientAge"].tag), "pydicom" in sys.modules)
"""


def test_every_keyword_has_the_tag_vr_vm_and_name_of_pydicom() -> None:
    entries = entries_by_keyword()
    expected = {
        k: (tag, dictionary_VR(tag), dictionary_VM(tag), dictionary_description(tag))
        for k, tag in keyword_dict.items()
        if k
    }
    assert {keyword: tuple(entry) for keyword, entry in entries.items()} == expected


def test_a_lookup_does_not_import_pydicom(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["0x101010", "False"]
