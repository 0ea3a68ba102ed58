"""MONAI is imported without the modules that no model uses; all can be imported afterwards."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

ADVICE = f"MONAI {version('monai')}: adapt models/monai_parts.py"
PROGRAM = """
import json, pkgutil, sys
walk = pkgutil.walk_packages
import models.monai_parts
imported = list(sys.modules)
import matplotlib.pyplot, nibabel, requests, scipy.signal, scipy.sparse, tqdm
import torch.utils.tensorboard
from monai.losses import DiceCELoss
from monai.metrics import compute_surface_dice
from monai.utils import module
found = [pkgutil.walk_packages is walk, module.walk_packages is walk]
names = [matplotlib.pyplot.__name__, scipy.signal.__name__, torch.utils.tensorboard.__name__]
print(json.dumps({"imported": imported, "walks": found, "afterwards": names}))
"""


@pytest.fixture(scope="module")
def process() -> dict[str, list[object]]:
    """What a new process finds that imports the parts, and then what they leave out."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, list[object]] = json.loads(run.stdout)
    return found


def test_the_parts_are_imported_without_what_no_model_uses(
    process: dict[str, list[object]],
) -> None:
    # Each costs an inference process a quarter of a second or more at its start.
    unused = {"matplotlib", "tensorboard", "scipy.signal", "monai.metrics", "monai.engines"}
    # The others take 30 to 100 ms each.
    unused |= {"nibabel", "requests", "scipy.sparse", "tqdm"}
    assert not unused & set(process["imported"]), ADVICE


def test_what_was_left_out_can_be_imported_afterwards(process: dict[str, list[object]]) -> None:
    expected = ["matplotlib.pyplot", "scipy.signal", "torch.utils.tensorboard"]
    assert process["afterwards"] == expected


def test_the_search_for_modules_is_the_original_one_afterwards(
    process: dict[str, list[object]],
) -> None:
    assert process["walks"] == [True, True], ADVICE
