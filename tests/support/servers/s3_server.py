"""An S3 server for tests: Ceph's gateway over a minimal cluster."""

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

from node.demo.free_ports import free_ports
from tests.support.waiting import until

INSTALL = "apt-get install ceph-mon ceph-osd radosgw"
_PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
_OSD_ID = "0"  # of the object storage daemon
_GATEWAY = "client.rgw.a"

# A start takes 1 s on an idle machine with two cores, and longer under load.
_TIMEOUT_SECONDS = 60.0

_CONFIGURATION = """
[global]
fsid = {cluster}
run dir = {folder}
crash dir = {folder}
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
keyring = {folder}/keyring
admin socket =

# Loopback only: no authentication between the daemons.
mon host = v2:127.0.0.1:{monitor_port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none

# One copy of every object, in one placement group.
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off

# By default the monitor waits a second to batch changes.
paxos propose interval = 0.02
paxos min wait = 0.01
# By default a client that missed a change asks only after 5 s.
objecter tick interval = 0.5

[mon.a]
mon data = {folder}/monitor
public addrv = [v2:127.0.0.1:{monitor_port}/0]
# Keep running on a disk with little free space.
mon data avail crit = 0

[osd.{objects}]
osd data = {folder}/objects
# In memory: the objects live as long as this daemon.
osd objectstore = memstore
memstore device bytes = 8589934592
# Debian 13's Ceph looks for them at a relative path.
osd class dir = {classes}

[{gateway}]
rgw data = {folder}/gateway
rgw frontends = beast endpoint=127.0.0.1:{port}
# A gateway with a cache notifies all others of changes, and waits 30 s for a killed one.
rgw cache enabled = false
"""


def s3_missing() -> str:
    """Returns what is not installed and how to install it; empty if nothing is missing."""
    not_installed = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"Ceph's {', '.join(not_installed)} is not installed: {INSTALL}" if not_installed else ""


def _classes() -> Path:
    """Returns the folder of the object classes that the gateway uses in the OSD."""
    folders = sorted(Path("/usr/lib").glob("*/rados-classes"))
    if not folders:
        pytest.skip(f"Ceph's rados-classes are not installed: {INSTALL}")
    return folders[0]


class S3Server:
    """A gateway on a fixed free port of loopback, with path-style bucket addresses.

    Its logs are in a temporary folder. The objects survive `stop`, but not the `with` block.
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
        self._cleanup = ExitStack()
        self._bucket_count = 0

    @property
    def endpoint(self) -> str:
        """The URL of the service, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    def new_bucket(self) -> str:
        """Creates a bucket and returns its name."""
        self._bucket_count += 1
        name = f"test{self._bucket_count}"
        self._signed_put(f"/{name}")
        return name

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            cleanup.callback(shutil.rmtree, self._folder)
            self._start_cluster(cleanup)
            self._run(
                *("radosgw-admin", "--name", _GATEWAY, "user", "create", "--uid=tests"),
                *("--display-name=tests", f"--access-key={self.access_key}"),
                f"--secret-key={self.secret_key}",
            )
            cleanup.callback(self.stop)
            self.start()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def start(self) -> None:
        """Starts or restarts the gateway with its stored objects; returns once it answers."""
        self._gateway = self._spawn("radosgw", "--name", _GATEWAY)
        until(self._answers, _TIMEOUT_SECONDS, "the S3 server to answer")

    def stop(self) -> None:
        """Stops the gateway like a crash: connections break, and new ones are refused."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            _kill(gateway)

    def _start_cluster(self, cleanup: ExitStack) -> None:
        """Starts one monitor and one OSD; `cleanup` stops them."""
        cluster, store = str(uuid.uuid4()), str(uuid.uuid4())
        self._file.write_text(
            _CONFIGURATION.format(
                cluster=cluster,
                folder=self._folder,
                classes=_classes(),
                monitor_port=self._monitor_port,
                objects=_OSD_ID,
                gateway=_GATEWAY,
                port=self._port,
            )
        )
        for name in ("monitor", "objects", "gateway"):
            (self._folder / name).mkdir()
        self._run("ceph-mon", "--id", "a", "--mkfs", "--fsid", cluster)
        cleanup.callback(_kill, self._spawn("ceph-mon", "--id", "a"))
        # The monitor accepts only a registered OSD.
        self._run("ceph", "osd", "new", store)
        self._run("ceph-osd", "--id", _OSD_ID, "--mkfs", "--osd-uuid", store)
        cleanup.callback(_kill, self._spawn("ceph-osd", "--id", _OSD_ID))

    def _answers(self) -> bool:
        assert self._gateway is not None
        if self._gateway.poll() is not None:
            raise AssertionError(f"radosgw ended: {self._output('radosgw')[-2000:]}")
        try:
            return requests.get(self.endpoint, timeout=_TIMEOUT_SECONDS).ok
        except requests.ConnectionError:
            return False

    def _signed_put(self, path: str) -> None:
        """Sends an empty PUT with a signature of version 2, which is short."""
        date = formatdate(usegmt=True)
        text = f"PUT\n\n\n{date}\n{path}"
        signature = base64.b64encode(hmac.digest(self.secret_key.encode(), text.encode(), "sha1"))
        authorization = f"AWS {self.access_key}:{signature.decode()}"
        headers = {"Date": date, "Authorization": authorization}
        url = f"{self.endpoint}{path}"
        requests.put(url, headers=headers, timeout=_TIMEOUT_SECONDS).raise_for_status()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [program, "--conf", str(self._file), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
        )

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a daemon; its output before it opens its log goes to a file with its name."""
        with (self._folder / f"{program}.out").open("ab") as out:
            return subprocess.Popen(
                [program, "--conf", str(self._file), *arguments, "--foreground"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _output(self, program: str) -> str:
        return (self._folder / f"{program}.out").read_text(errors="replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
