"""An S3 server of our own for tests: Ceph's gateway over the smallest cluster that it can have."""

import base64
import hmac
import shutil
import subprocess
import tempfile
import uuid
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Self

import pytest
import requests

from node.demo.orthanc_pacs import free_ports
from tests.support.waiting import until

INSTALL = "apt-get install ceph-mon ceph-osd radosgw"
_PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
_OBJECTS = "0"  # the daemon that stores objects; Ceph numbers these
_GATEWAY = "client.rgw.a"

# A start takes 1 s on an idle machine with two cores; it grows under load.
_STEP_SECONDS = 60.0

_CONFIGURATION = """
[global]
fsid = {cluster}
run dir = {folder}
crash dir = {folder}
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
keyring = {folder}/keyring
admin socket =

# Loopback alone, where nobody but the tests listens: no keys between the daemons.
mon host = v2:127.0.0.1:{monitor_port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none

# One copy of everything, in one piece.
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off

# By default the monitor waits a second before each change, for more of them to come.
paxos propose interval = 0.02
paxos min wait = 0.01
# And a client that missed the news of a change asks only after 5 s.
objecter tick interval = 0.5

[mon.a]
mon data = {folder}/monitor
public addrv = [v2:127.0.0.1:{monitor_port}/0]
# A disk with little room is no reason to end.
mon data avail crit = 0

[osd.{objects}]
osd data = {folder}/objects
# In memory: the objects last as long as this daemon does.
osd objectstore = memstore
memstore device bytes = 8589934592
# Debian 13's Ceph seeks them by a relative path.
osd class dir = {classes}

[{gateway}]
rgw data = {folder}/gateway
rgw frontends = beast endpoint=127.0.0.1:{port}
# A gateway with a cache tells every other one of its changes, and waits 30 s for one killed.
rgw cache enabled = false
"""


def s3_missing() -> str:
    """What is not installed and how to install it; empty when the server can be started."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"Ceph's {', '.join(absent)} is not installed: {INSTALL}" if absent else ""


def _classes() -> Path:
    """The folder of what a gateway has the daemon do with objects, in ceph-osd's dependency."""
    folders = sorted(Path("/usr/lib").glob("*/rados-classes"))
    if not folders:
        pytest.skip(f"Ceph's rados-classes are not installed: {INSTALL}")
    return folders[0]


class S3Server:
    """A gateway on a free port of loopback that stays the same; requests name buckets by path.

    Its logs are in a temporary folder. The objects outlive `stop`, and not the `with` block.
    """

    access_key = "segnode"
    secret_key = "made-up-for-tests"

    def __init__(self) -> None:
        missing = s3_missing()
        if missing:
            pytest.skip(missing)
        self._folder = Path(tempfile.mkdtemp(prefix="s3"))
        self._file = self._folder / "ceph.conf"
        self._port, self._monitor_port = free_ports(2)
        self._gateway: subprocess.Popen[bytes] | None = None
        self._ends = ExitStack()
        self._made = 0

    @property
    def endpoint(self) -> str:
        """The URL of the service, without a closing slash."""
        return f"http://127.0.0.1:{self._port}"

    def new_bucket(self) -> str:
        """The name of a bucket that nobody has used."""
        self._made += 1
        name = f"test{self._made}"
        self._signed_put(f"/{name}")
        return name

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            ends.callback(shutil.rmtree, self._folder)
            self._start_cluster(ends)
            self._run(
                *("radosgw-admin", "--name", _GATEWAY, "user", "create", "--uid=tests"),
                *("--display-name=tests", f"--access-key={self.access_key}"),
                f"--secret-key={self.secret_key}",
            )
            ends.callback(self.stop)
            self.start()
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def start(self) -> None:
        """Have it serve, again, with what it had stored; returns when it answers."""
        self._gateway = self._spawn("radosgw", "--name", _GATEWAY)
        until(self._answers, _STEP_SECONDS, "the S3 server to answer")

    def stop(self) -> None:
        """End it as a crash would: every connection breaks, and new ones are refused."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            _kill(gateway)

    def _start_cluster(self, ends: ExitStack) -> None:
        """One monitor, one daemon that stores; `ends` is given what ends them."""
        cluster, store = str(uuid.uuid4()), str(uuid.uuid4())
        self._file.write_text(
            _CONFIGURATION.format(
                cluster=cluster,
                folder=self._folder,
                classes=_classes(),
                monitor_port=self._monitor_port,
                objects=_OBJECTS,
                gateway=_GATEWAY,
                port=self._port,
            )
        )
        for name in ("monitor", "objects", "gateway"):
            (self._folder / name).mkdir()
        self._run("ceph-mon", "--id", "a", "--mkfs", "--fsid", cluster)
        ends.callback(_kill, self._spawn("ceph-mon", "--id", "a"))
        # The monitor must know the daemon, and lets no other in.
        self._run("ceph", "osd", "new", store)
        self._run("ceph-osd", "--id", _OBJECTS, "--mkfs", "--osd-uuid", store)
        ends.callback(_kill, self._spawn("ceph-osd", "--id", _OBJECTS))

    def _answers(self) -> bool:
        assert self._gateway is not None
        if self._gateway.poll() is not None:
            raise AssertionError(f"radosgw ended: {self._said('radosgw')[-2000:]}")
        try:
            return requests.get(self.endpoint, timeout=_STEP_SECONDS).ok
        except requests.ConnectionError:
            return False

    def _signed_put(self, path: str) -> None:
        """PUT nothing there, with a signature of version 2, which is short."""
        date = formatdate(usegmt=True)
        text = f"PUT\n\n\n{date}\n{path}"
        signature = base64.b64encode(hmac.digest(self.secret_key.encode(), text.encode(), "sha1"))
        authorization = f"AWS {self.access_key}:{signature.decode()}"
        headers = {"Date": date, "Authorization": authorization}
        url = f"{self.endpoint}{path}"
        requests.put(url, headers=headers, timeout=_STEP_SECONDS).raise_for_status()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [program, "--conf", str(self._file), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=_STEP_SECONDS,
        )

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A daemon of ours; what it says before it has its log is in a file of its name."""
        with (self._folder / f"{program}.out").open("ab") as out:
            return subprocess.Popen(
                [program, "--conf", str(self._file), *arguments, "--foreground"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _said(self, program: str) -> str:
        return (self._folder / f"{program}.out").read_text(errors="replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
