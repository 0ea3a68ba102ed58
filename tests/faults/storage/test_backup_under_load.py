"""A real node is backed up while it receives and works; it is lost and restored.

DICOM and HTTP use TLS; a token from before the backup counts afterwards.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.processes.role_process import Role
from node.settings import load_settings
from node.store import Store
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until

SERIES_COUNT = 6
WORK_S = 240.0


@pytest.fixture
def node(tmp_path: Path, pacs: OrthancPacs, tls: TlsSite | None) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "node", pacs, (*RunningNode.roles, Role.WEB), tls=tls)
    catalogue = tiny_catalogue(tmp_path / "model")
    running.configure(quiet_seconds=1, model=TINY, catalogue=catalogue)
    running.start()
    yield running
    running.close()


class Sender:
    """A modality that sends series one after another; `sent` has those that are acknowledged."""

    def __init__(self, node: RunningNode, folder: Path) -> None:
        self.node = node
        self.sent: list[Uid] = []
        descriptions = [CtDescription(seed=f"backup-{n}") for n in range(SERIES_COUNT)]
        scan = tiny_scan()
        self.files = {
            Uid(each.series_instance_uid): write_ct_series(scan, folder / each.seed, each)
            for each in descriptions
        }

    def send_all(self) -> None:
        for series, files in self.files.items():
            self.node.send(files)
            self.sent.append(series)


def segnode(node: RunningNode, *arguments: str | Path) -> str:
    """Runs a command with the configuration of the node; it must succeed."""
    command = [sys.executable, "-m", "node.cli", *map(str, arguments)]
    command += ["--config", str(node.config_file)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_node_restored_from_a_backup_under_load_finishes_what_was_open(
    node: RunningNode, pacs: OrthancPacs, tmp_path: Path
) -> None:
    sender = Sender(node, tmp_path / "ct")
    backups = tmp_path / "backups"
    backups.mkdir()
    program = node.program()
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(sender.send_all)
        until(lambda: len(sender.sent) >= 2, WORK_S, "two series to be sent")
        before_backup: list[Uid] = []
        while not sending.done():
            before_backup = sender.sent.copy()
            segnode(node, "backup", backups, "--keep", "2")
        sending.result()
    # The results of some series reach the PACS after the backup.
    pacs.start()
    delivered = until(node.all_results, WORK_S, "a result in the PACS")
    node.kill()
    node.store.close()
    shutil.rmtree(node.folder / "data")

    segnode(node, "restore", backups)
    assert ": no faults." in segnode(node, "store", "verify")
    settings = load_settings(node.config_file)
    node.store = Store.open(settings.database_url, settings.data_dir)
    for series in before_backup:
        assert len(node.store.instances_of(series)) == len(sender.files[series])
    node.start()
    for series in before_backup:
        assert node.ended_job(series).state is JobState.DELIVERED
    sender.send_all()

    expected = []
    for series in sender.files:
        job = node.ended_job(series, instances=len(sender.files[series]))
        assert job.state is JobState.DELIVERED, job.reason
        expected.append(ObjectUids(job.job_id, SEG).sop_instance_uid())
    assert set(expected) <= set(node.all_results())
    with program:
        assert len(program.get("/api/series").json()) == SERIES_COUNT
    assert set(delivered) & set(expected)  # delivered again with the same UID
