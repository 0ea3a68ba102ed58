"""A site on which the commands of the guides run: users, peers, jobs in several states."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner

from node.access.accounts import Accounts
from node.access.api_tokens import TokenKeeper
from node.configuration.site_configuration import import_file
from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct_writer import CtDescription
from node.domain.access.permissions import Permission, Role
from node.domain.identifiers import Uid
from node.domain.job import HELD, Job, JobState
from node.domain.worklists.codes import Code
from node.settings import load_location
from node.store import Store
from tests.support.browser.busy_console import accept, park
from tests.support.dicom.builders import ct_series
from tests.support.processes.running_node import small_abdomen
from tests.support.servers.http_receiver import HttpReceiver
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.whole_command_line import app

CONFIG_FILE = "/etc/segnode/segnode.toml"
_CONFIGURATION = """
[listener]
ae_title = "SEGNODE"

[peers.pacs]
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}
retrieve = "get"

[sources.orthanc]
url = "{dicomweb}"

[destinations.pacs]
kind = "cstore"
peer = "pacs"

[destinations.archive]
kind = "folder"
path = "archive"

[alerts.webhook]
url = "{webhook}"

[worklists.hospital]
url = "{dicomweb}"
tasks = [{{ code = "LIVER", scheme = "99HOSP", rule = "liver" }}]

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs", "archive"]
when = {{ attribute = "Modality", equals = "CT" }}
"""
_REVISIONS = 'config = "database"\ndata_dir = "revisions"\nquiet_seconds = {}\n'
_WORK_ITEM = Uid("1.9")


@dataclass
class GuideSite:
    """A served node with its folder; a job is named by the command that acts on it."""

    node: ServedNode
    folder: Path
    jobs: dict[str, Job] = field(default_factory=dict)

    def segnode(self, command: str) -> str:
        """Runs `segnode ...`; returns why it failed, or an empty text."""
        config = "empty" if command.startswith("segnode restore") else "segnode"
        if command.startswith("segnode config"):
            config = "revisions"
        file = str(self.folder / f"{config}.toml")
        words = self._with_values(command.replace(CONFIG_FILE, file)).removeprefix("segnode ")
        result = CliRunner().invoke(
            app, words, env={"SEGNODE_CONFIG": file, "COLUMNS": "200"}, input="y\n"
        )
        if result.exit_code == 0:
            return ""
        return f"status {result.exit_code}: {result.output}{result.exception or ''}"

    def shell(self, command: str) -> str:
        """Runs a command by bash; returns why it failed, or an empty text."""
        script = self._with_values(command)
        outside = re.findall(r"(?<![\w.:/])/(?!dev/null)[a-z][\w./-]*", script)
        assert all(path.startswith(str(self.folder)) for path in outside), outside
        ran = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            check=False,
            capture_output=True,
            text=True,
        )
        return "" if ran.returncode == 0 else f"status {ran.returncode}: {ran.stdout}{ran.stderr}"

    def _with_values(self, command: str) -> str:
        """Replaces what a reader replaces, and the folders of a real node by those of the site."""
        for pattern, value in self._values(command).items():
            command = re.sub(pattern, value, command)
        return command

    def _values(self, command: str) -> Mapping[str, str]:
        at = str(self.folder)
        values = {
            re.escape(CONFIG_FILE): f"{at}/segnode.toml",
            r"/var/backups/segnode": f"{at}/backups",
            r"/srv/try": f"{at}/try",
            r"/etc/orthanc/segnode-token": f"{at}/segnode-token",
            r"http://127\.0\.0\.1:8080": self.node.url,
            # Only the web process of the site runs: the PACS receives what the node would.
            r"SEGNODE@127\.0\.0\.1:11112": "pacs",
            r"/data/ct/abdomen": f"{at}/abdomen",
            r"\b(?:liver|abdomen)\.(?:dcm|seg\.nrrd|nii\.gz)\b": rf"{at}/\g<0>",
            r"\bUID\b": str(_WORK_ITEM),
            r"\baudit(?:\.jsonl|-messages\.xml)": rf"{at}/\g<0>",
            r"\bNEW\.toml\b": f"{at}/segnode.toml",
            r"(?<=-o )new\.toml\b|(?<=set )new\.toml\b": f"{at}/new.toml",
            r"(?<=import )site\.toml\b": f"{at}/site.toml",
            r"\bFILE\b": f"{at}/exported.dcm",
            r"\bFOLDER\b|\bcorrected\b": f"{at}/corrected",
            r"\bNAME\b": "somebody",
            r"\bTEXT\b": "test",
        }
        if self.jobs:
            acting = re.sub("^segnode (?:jobs|store) ", "", command).split()[0]
            job = self.jobs.get(acting, self.jobs["show"])
            values |= {
                r"\bSERIES_UID\b": str(job.series_instance_uid),
                r"\bJOB\b": job.job_id[:8],
            }
        return values


@contextmanager
def guide_site(
    folder: Path, pacs: OrthancPacs, receiver: HttpReceiver, *, names_jobs: bool
) -> Iterator[GuideSite]:
    """Serves the site; its PACS is an Orthanc. Jobs only if a guide names them."""
    configuration = _CONFIGURATION.format(
        ae_title=pacs.ae_title,
        port=pacs.dicom_port,
        dicomweb=pacs.dicomweb_url,
        webhook=receiver.url,
    )
    with served_node(folder, configuration, login="required") as node:
        site = GuideSite(node, folder)
        _add_accounts(site)
        if names_jobs:
            _add_jobs(site)
        code = Code("LIVER", "99HOSP", "Liver")
        node.store.add_work_item(
            "hospital",
            _WORK_ITEM,
            datetime.now(UTC),
            transaction_uid=Uid("2.25.4"),
            rule="liver",
            code=code,
        )
        for name in ("backups", "archive", "deploy/compose"):
            (folder / name).mkdir(mode=0o700, parents=True)
        text = configuration.replace("[listener]", 'data_dir = "restored"\n[listener]', 1)
        (folder / "empty.toml").write_text(text, encoding="utf-8")
        _add_revisions(folder)
        yield site


def _add_accounts(site: GuideSite) -> None:
    now = datetime.now(UTC)
    accounts = Accounts(site.node.store, "test")
    accounts.add("first", Role.ADMINISTRATOR, now)
    keeper = TokenKeeper(site.node.store, "test", 3650)
    token = keeper.create("reader", frozenset({Permission.VIEW}), timedelta(days=1), now)
    (site.folder / "segnode-token").write_text(token, encoding="utf-8")


def _add_jobs(site: GuideSite) -> None:
    """Adds one job for each command that changes a job, and one for those that only read."""
    small_abdomen(site.folder / "abdomen", seed=1)
    assert site.segnode("segnode convert /data/ct/abdomen abdomen.nii.gz") == ""
    for command in ("show", "retry", "discard", "release", "rerun", "redirect", "delete"):
        files = ct_series(
            description=CtDescription(patient_name="Roe^Richard", patient_id="P-17"),
            seed=command,
        )
        job = accept(site.node, site.node.receive(files, site.folder / "sent" / command))
        site.jobs[command] = job
        if command in {"retry", "discard"}:
            park(site.node, job, "the model has stopped")
        elif command == "release":
            park(site.node, job, f"{HELD}The liver has 3 parts.")
        else:
            job = site.node.finish_job(job)
            _deliver(site, job, is_waiting=command == "redirect")


def _deliver(site: GuideSite, job: Job, *, is_waiting: bool) -> None:
    store, now = site.node.store, datetime.now(UTC)
    if is_waiting:
        store.add_deliveries(job.job_id, ["pacs"], now)
        store.record_failed_delivery(
            job.job_id, "pacs", now, error="no answer", next_try_at=now + timedelta(hours=1)
        )
    else:
        store.change_job(job.job_id, JobState.DELIVERED, now)


def _add_revisions(folder: Path) -> None:
    """Makes a site with eight revisions of its configuration."""
    file = folder / "revisions.toml"
    file.write_text(_REVISIONS.format(1), encoding="utf-8")
    (folder / "site.toml").write_text(_REVISIONS.format(9), encoding="utf-8")
    location = load_location(file)
    store = Store.open(location.database_url, location.data_dir)
    import_file(store, file, datetime.now(UTC))
    store.close()
    text = folder / "next.toml"
    for number in range(2, 9):
        text.write_text(f"quiet_seconds = {number}\n", encoding="utf-8")
        words = ["config", "set", str(text), "--reason", "test", "-c", str(file)]
        assert CliRunner().invoke(app, words).exit_code == 0
