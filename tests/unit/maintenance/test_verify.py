"""The files against the index: what is lost, damaged or unknown is told, and put right."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli.main import app
from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.intake.part10 import part10_bytes
from node.maintenance.verify import Fault, Finding, Verification
from node.store import Store
from tests.support.factories import NOON, encoded, received

IN_AN_HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    data_dir = tmp_path / "data"
    opened = Store.open(f"sqlite:///{data_dir / 'segnode.db'}", data_dir)
    yield opened
    opened.close()


@pytest.fixture
def paths(store: Store) -> list[Path]:
    """Three instances of one series."""
    return [take(store, number) for number in (1, 2, 3)]


def take(store: Store, number: int) -> Path:
    uid = f"1.2.3.{number}"
    instance = received(sop_instance_uid=uid, dataset=encoded(sop_instance_uid=uid))
    return Inbox(store, 0).accept(instance, NOON).instance.path


def findings(store: Store, *, later_s: float = IN_AN_HOUR) -> list[Finding]:
    return list(Verification(store, lambda: time.time() + later_s).findings())


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def repaired(store: Store) -> list[str]:
    verification = Verification(store, lambda: time.time() + IN_AN_HOUR)
    return [verification.repair(finding, NOON) for finding in verification.findings()]


def test_a_store_in_order_has_no_findings(store: Store, paths: list[Path]) -> None:
    assert paths
    assert findings(store) == []


def test_what_is_cleared_while_it_is_looked_at_is_not_told_as_missing(
    store: Store, paths: list[Path]
) -> None:
    paths[0].unlink()
    looking = Verification(store).findings()
    assert next(looking) == Finding(Fault.MISSING, paths[0])
    store.record_decision("1.2.3", "{}", SeriesState.IGNORED, NOON, seen_count=3)
    assert store.clear_series("1.2.3", NOON)
    assert list(looking) == []


def test_what_is_lost_or_damaged_is_told_and_taken_when_it_is_sent_again(
    store: Store, paths: list[Path]
) -> None:
    paths[0].unlink()
    flip_a_bit(paths[1])
    paths[2].write_bytes(b"nothing of the kind")
    assert findings(store) == [
        Finding(Fault.MISSING, paths[0]),
        Finding(Fault.DAMAGED, paths[1]),
        Finding(Fault.DAMAGED, paths[2]),
    ]
    missing, *damaged = repaired(store)
    assert missing == "send the series again"
    assert all("put aside" in told for told in damaged)
    aside = store.data_dir / "damaged"
    assert sorted(path.name for path in aside.iterdir()) == ["1.2.3.2.dcm", "1.2.3.3.dcm"]
    assert [take(store, number) for number in (1, 2, 3)] == paths
    assert findings(store) == []


def test_a_whole_file_that_the_index_does_not_know_is_indexed(
    store: Store, paths: list[Path]
) -> None:
    store.record_decision("1.2.3", "{}", SeriesState.IGNORED, NOON, seen_count=3)
    unknown = paths[0].parent / "1.2.3.4.dcm"
    instance = received(sop_instance_uid="1.2.3.4", dataset=encoded(sop_instance_uid="1.2.3.4"))
    unknown.write_bytes(part10_bytes(instance))
    half = paths[0].parent / "1.2.3.5.dcm"
    half.write_bytes(part10_bytes(instance)[:200])
    assert findings(store, later_s=0) == []  # they may be coming in just now
    assert findings(store) == [
        Finding(Fault.NOT_INDEXED, unknown),
        Finding(Fault.DAMAGED, half),
    ]
    assert repaired(store)[0] == "indexed"
    assert findings(store) == []
    series = store.get_series("1.2.3")
    assert series is not None
    assert (series.instance_count, series.state) == (4, SeriesState.RECEIVING)


def test_the_command_line_tells_and_repairs(
    store: Store, paths: list[Path], tmp_path: Path
) -> None:
    config = tmp_path / "segnode.toml"
    config.write_text('data_dir = "data"\n', encoding="utf-8")
    run = CliRunner()
    fine = run.invoke(app, ["store", "verify", "-c", str(config)])
    assert fine.exit_code == 0
    assert "3 images in the index: all are as they came in." in fine.output
    flip_a_bit(paths[1])
    wrong = run.invoke(app, ["store", "verify", "-c", str(config)])
    assert wrong.exit_code == 1
    assert f"damaged: {paths[1]}" in wrong.output
    assert run.invoke(app, ["store", "repair", "-c", str(config)]).exit_code == 0
    assert not paths[1].exists()
    assert store.count_instances() == 3
