"""`segnode demo --exit`: its exit status, its output, and the files that the output names."""

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

# The volume of the CHAOS expert's liver in CT set 3; a starter model may be off by a quarter.
CHAOS_LIVER_ML = 1417
TOLERANCE = 0.25


def demo(folder: Path, *arguments: str) -> dict[str, str]:
    """Runs the demonstration to status 0; returns the output by its first column."""
    command = [sys.executable, "-m", "node.cli", "demo", "--exit", "--folder", str(folder)]
    run = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=500
    )
    assert run.returncode == 0, run.stdout + run.stderr
    rows = re.findall(r"^(\w[\w ]*?) {2,}(\S.*)$", run.stdout, re.MULTILINE)
    return {name: text.strip() for name, text in rows}


def volume_ml(output: dict[str, str]) -> float:
    found = re.search(r"(\d+) mL", output["Result"])
    assert found is not None, output
    return float(found[1])


def assert_result_exists(output: dict[str, str]) -> None:
    """Checks the SEG and the picture at the paths in the output."""
    result = dcmread(output["SEG on disk"])
    assert result.Modality == "SEG"
    assert output["SEG in the PACS"].endswith(result.SOPInstanceUID)
    with Image.open(output["Overlay picture"]) as picture:
        assert min(picture.size) > 200
    assert output["Console"].startswith("http://127.0.0.1:")
    assert re.search(r"read \d.*segment \d.*encode \d.*deliver \d", output["Time"])


def test_the_result_of_the_phantom_is_in_the_archive_folder(tmp_path: Path) -> None:
    output = demo(tmp_path, "--pacs", "embedded")
    assert_result_exists(output)
    # A body of this size has a liver of 1 to 2 litres.
    assert 1000 < volume_ml(output) < 2000
    result = dcmread(output["SEG on disk"])
    archived = (
        tmp_path
        / "node"
        / "archive"
        / result.StudyInstanceUID
        / result.SeriesInstanceUID
        / f"{result.SOPInstanceUID}.dcm"
    )
    assert archived.read_bytes() == Path(output["SEG on disk"]).read_bytes()


def test_the_result_of_a_real_ct_is_in_orthanc_with_a_plausible_volume(tmp_path: Path) -> None:
    if missing := orthanc_missing():
        pytest.skip(missing)
    ct = shared_data() / "ct" / "chaos-set3"
    output = demo(tmp_path, "--pacs", "orthanc", "--ct", str(ct))
    assert_result_exists(output)
    assert volume_ml(output) == pytest.approx(CHAOS_LIVER_ML, rel=TOLERANCE)
    source = dcmread(next(ct.iterdir()), stop_before_pixels=True)
    assert f"/studies/{source.StudyInstanceUID}/" in output["SEG in the PACS"]
    assert "Orthanc" in output


def test_a_refused_ct_ends_the_demo_with_the_reason(tmp_path: Path) -> None:
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
