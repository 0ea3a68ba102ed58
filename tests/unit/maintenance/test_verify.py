"""Verification of stored files against the index, and repair."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.domain.job import JobState
from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.intake.part10 import part10_bytes
from node.maintenance.verify import Fault, Finding, Verification
from node.store import Store
from tests.support.factories import NOON, SERIES, encoded, job_of, received
from tests.support.whole_command_line import app

IN_AN_HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    data_dir = tmp_path / "data"
    opened = Store.open(f"sqlite:///{data_dir / 'segnode.db'}", data_dir)
    yield opened
    opened.close()


@pytest.fixture
def paths(store: Store) -> list[Path]:
    """Three instances of one series, with digests by both algorithms."""
    return [accept(store, number) for number in (1, 2, 3)]


def accept(store: Store, number: int) -> Path:
    uid = f"1.2.3.{number}"
    instance = received(sop_instance_uid=uid, dataset=encoded(sop_instance_uid=uid))
    inbox = Inbox(store, 0, "blake3" if number % 2 == 0 else "sha256")
    return inbox.accept(instance, NOON).instance.path


def findings(store: Store, *, later_s: float = IN_AN_HOUR) -> list[Finding]:
    return list(Verification(store, lambda: time.time() + later_s).findings())


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def repaired(store: Store) -> list[str]:
    verification = Verification(store, lambda: time.time() + IN_AN_HOUR)
    return [verification.repair(finding, NOON) for finding in verification.findings()]


def test_an_intact_store_has_no_findings(store: Store, paths: list[Path]) -> None:
    assert paths
    assert findings(store) == []


def test_a_series_cleared_during_verification_is_not_reported_missing(
    store: Store, paths: list[Path]
) -> None:
    paths[0].unlink()
    remaining = Verification(store).findings()
    assert next(remaining) == Finding(Fault.MISSING, paths[0])
    store.record_decision("1.2.3", "{}", SeriesState.IGNORED, NOON, seen_count=3)
    assert store.clear_series("1.2.3", NOON)
    assert list(remaining) == []


def test_missing_and_damaged_files_are_reported_and_restored_by_sending_again(
    store: Store, paths: list[Path]
) -> None:
    paths[0].unlink()
    flip_a_bit(paths[1])
    paths[2].write_bytes(b"not a DICOM file")
    assert findings(store) == [
        Finding(Fault.MISSING, paths[0]),
        Finding(Fault.DAMAGED, paths[1]),
        Finding(Fault.DAMAGED, paths[2]),
    ]
    missing, *damaged = repaired(store)
    assert missing == "send the series again"
    assert all("moved to" in message for message in damaged)
    quarantine = store.data_dir / "damaged"
    assert sorted(path.name for path in quarantine.iterdir()) == ["1.2.3.2.dcm", "1.2.3.3.dcm"]
    assert [accept(store, number) for number in (1, 2, 3)] == paths
    assert findings(store) == []


def test_a_missing_file_of_a_result_is_named_with_its_job(store: Store, paths: list[Path]) -> None:
    assert paths
    job = job_of(SERIES)
    store.add_job(job)
    seg, picture = (store.data_dir / "results" / name for name in ("seg.dcm", "seg.png"))
    store.files.put(picture, [b"picture"])
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.change_job(job.job_id, JobState.DELIVERING, NOON, result_path=seg, picture_path=picture)
    assert findings(store) == [Finding(Fault.MISSING, seg, job.job_id)]
    assert repaired(store) == [f"run the job again (segnode jobs rerun {job.job_id[:8]})"]
    store.files.put(seg, [b"result"])
    assert findings(store) == []


def test_an_intact_file_that_is_not_indexed_is_indexed(store: Store, paths: list[Path]) -> None:
    store.record_decision("1.2.3", "{}", SeriesState.IGNORED, NOON, seen_count=3)
    unknown = paths[0].parent / "1.2.3.4.dcm"
    instance = received(sop_instance_uid="1.2.3.4", dataset=encoded(sop_instance_uid="1.2.3.4"))
    unknown.write_bytes(part10_bytes(instance))
    half = paths[0].parent / "1.2.3.5.dcm"
    half.write_bytes(part10_bytes(instance)[:200])
    assert findings(store, later_s=0) == []  # they may be being received
    assert findings(store) == [
        Finding(Fault.NOT_INDEXED, unknown),
        Finding(Fault.DAMAGED, half),
    ]
    assert repaired(store)[0] == "indexed"
    assert findings(store) == []
    series = store.get_series("1.2.3")
    assert series is not None
    assert (series.instance_count, series.state) == (4, SeriesState.RECEIVING)


def test_the_command_line_verifies_and_repairs(
    store: Store, paths: list[Path], tmp_path: Path
) -> None:
    config = tmp_path / "segnode.toml"
    config.write_text('data_dir = "data"\n', encoding="utf-8")
    run = CliRunner()
    intact = run.invoke(app, ["store", "verify", "-c", str(config)])
    assert intact.exit_code == 0
    assert "3 images in the index: no faults." in intact.output
    flip_a_bit(paths[1])
    damaged = run.invoke(app, ["store", "verify", "-c", str(config)])
    assert damaged.exit_code == 1
    assert f"damaged: {paths[1]}" in damaged.output
    assert run.invoke(app, ["store", "repair", "-c", str(config)]).exit_code == 0
    assert not paths[1].exists()
    assert store.count_instances() == 3
