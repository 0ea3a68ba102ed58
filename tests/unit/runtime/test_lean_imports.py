"""Libraries are imported without what the node does not use; all can be imported afterwards."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from node.runtime.lean_imports import import_pydicom, import_structlog
import_{library}()
print(*sys.modules)
import {optional}
print({optional}.__name__)
"""


@pytest.mark.parametrize(
    ("library", "optional"), [("structlog", "rich"), ("pydicom", "requests"), ("pydicom", "tqdm")]
)
def test_a_library_is_imported_without_an_optional_one_that_works_afterwards(
    library: str, optional: str
) -> None:
    program = PROGRAM.format(library=library, optional=optional)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    imported, afterwards = run.stdout.splitlines()
    assert library in imported.split()
    assert optional not in imported.split()
    assert afterwards == optional
