"""`segnode demo --exit`, as a person runs it: its status, what it prints, and what is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from node.demo.orthanc_pacs import orthanc_missing
from tests.support.shared_data import shared_data

# What the CHAOS expert's liver of CT set 3 measures; a starter model may be off by a quarter.
CHAOS_LIVER_ML = 1417
TOLERANCE = 0.25


def demo(folder: Path, *arguments: str) -> dict[str, str]:
    """What the demonstration prints, by its first column; it has to end with status 0."""
    command = [sys.executable, "-m", "node.cli", "demo", "--exit", "--folder", str(folder)]
    run = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=500
    )
    assert run.returncode == 0, run.stdout + run.stderr
    rows = re.findall(r"^(\w[\w ]*?) {2,}(\S.*)$", run.stdout, re.MULTILINE)
    return {name: text.strip() for name, text in rows}


def volume_ml(told: dict[str, str]) -> float:
    found = re.search(r"(\d+) mL", told["Result"])
    assert found is not None, told
    return float(found[1])


def assert_is_there(told: dict[str, str]) -> None:
    """The SEG and the picture are where the demonstration says."""
    result = dcmread(told["SEG on disk"])
    assert result.Modality == "SEG"
    assert told["SEG in the PACS"].endswith(result.SOPInstanceUID)
    with Image.open(told["Overlay picture"]) as picture:
        assert min(picture.size) > 200
    assert told["Console"].startswith("http://127.0.0.1:")
    assert re.search(r"read \d.*segment \d.*encode \d.*deliver \d", told["Time"])


def test_the_phantom_comes_back_through_the_embedded_archive(tmp_path: Path) -> None:
    told = demo(tmp_path, "--pacs", "embedded")
    assert_is_there(told)
    # The phantom's true liver is known; a body of this size has 1 to 2 litres.
    assert 1000 < volume_ml(told) < 2000
    result = dcmread(told["SEG on disk"])
    kept = (
        tmp_path
        / "node"
        / "archive"
        / result.StudyInstanceUID
        / result.SeriesInstanceUID
        / f"{result.SOPInstanceUID}.dcm"
    )
    assert kept.read_bytes() == Path(told["SEG on disk"]).read_bytes()


def test_a_real_ct_comes_back_into_orthanc_with_a_believable_volume(tmp_path: Path) -> None:
    if missing := orthanc_missing():
        pytest.skip(missing)
    ct = shared_data() / "ct" / "chaos-set3"
    told = demo(tmp_path, "--pacs", "orthanc", "--ct", str(ct))
    assert_is_there(told)
    assert volume_ml(told) == pytest.approx(CHAOS_LIVER_ML, rel=TOLERANCE)
    source = dcmread(next(ct.iterdir()), stop_before_pixels=True)
    assert f"/studies/{source.StudyInstanceUID}/" in told["SEG in the PACS"]
    assert "Orthanc" in told


def test_a_ct_that_is_refused_ends_the_demo_with_the_reason(tmp_path: Path) -> None:
    ct = shared_data() / "ct" / "dcmqi-3slice"
    command = [sys.executable, "-m", "node.cli", "demo", "--exit", "--pacs", "embedded"]
    run = subprocess.run(
        [*command, "--folder", str(tmp_path), "--ct", str(ct)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 1
    assert "The series has 3 slices; liver-ct needs at least" in run.stderr
    listed = subprocess.run(
        [
            *(sys.executable, "-m", "node.cli", "jobs", "list", "--json"),
            *("--config", str(tmp_path / "segnode.toml")),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [job["state"] for series in json.loads(listed.stdout) for job in series["jobs"]] == [
        "refused"
    ]
