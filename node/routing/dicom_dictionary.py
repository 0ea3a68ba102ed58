"""Looks up DICOM keywords (PS3.6) without importing all of pydicom.

Importing pydicom takes a quarter of a second, and the command line needs its dictionary alone. No
public module has that, so this module is the one that knows pydicom's file `_dicom_dict.py`.
"""

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

_MODULE = "pydicom._dicom_dict"


class DictionaryEntry(NamedTuple):
    """An attribute of the DICOM data dictionary."""

    tag: int
    vr: str  # "US or SS" where several are possible
    vm: str  # "1", "3" or "1-n"
    name: str


@cache
def entries_by_keyword() -> dict[str, DictionaryEntry]:
    """Returns the attributes of PS3.6 by keyword, without those of repeating groups."""
    return {
        keyword: DictionaryEntry(tag, vr, vm, name)
        for tag, (vr, vm, name, _retired, keyword) in _load_dictionary().items()
        if keyword
    }


def _load_dictionary() -> dict[int, tuple[str, str, str, str, str]]:
    module = sys.modules.get(_MODULE)
    if module is None:
        package = find_spec("pydicom")
        assert package is not None  # noqa: S101 a dependency
        assert package.origin is not None  # noqa: S101 it is not a namespace package
        file = Path(package.origin).with_name("_dicom_dict.py")
        spec = spec_from_file_location(_MODULE, file)
        assert spec is not None  # noqa: S101 the file name has a known suffix
        assert spec.loader is not None  # noqa: S101 as above
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    dictionary: dict[int, tuple[str, str, str, str, str]] = module.DicomDictionary
    return dictionary
