"""rsyslog as a syslog server on loopback, by TLS or plain, as deploy/audit.md configures it."""

import re
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.demo.free_ports import free_ports
from tests.support.certificate_authority import CertificateAuthority
from tests.support.waiting import until

_GUIDE = Path(__file__).parents[3] / "deploy" / "audit.md"
_START_S = 30.0
_OUTPUT = "/var/log/segnode-audit.log"
_PLAIN = f"""
global(maxMessageSize="64k")
module(load="imtcp")
input(type="imtcp" port="6514")
template(name="whole" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{_OUTPUT}" template="whole")
"""


@dataclass
class SyslogDaemon:
    """A running rsyslog; `messages` are what it has written, one for each message."""

    folder: Path
    authority: CertificateAuthority | None
    port: int = field(default_factory=lambda: free_ports(1)[0])
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; skips where it is not installed."""
        if shutil.which("rsyslogd") is None:
            pytest.skip("rsyslog is not installed: apt install rsyslog rsyslog-gnutls")
        configuration = self.folder / "rsyslog.conf"
        configuration.write_text(self._configuration(), encoding="utf-8")
        command = ["rsyslogd", "-n", "-f", str(configuration), "-i", str(self.folder / "pid")]
        with (self.folder / "rsyslog.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, _START_S, "rsyslog to start")

    def stop(self) -> None:
        """Stops it; the messages stay."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_S)
            self._process = None

    @property
    def messages(self) -> list[str]:
        """The messages that it has, in the order in which they arrived."""
        with suppress(FileNotFoundError):
            return (self.folder / "messages").read_text(encoding="utf-8").splitlines()
        return []

    def _configuration(self) -> str:
        text = _PLAIN if self.authority is None else self._example()
        text = text.replace('port="6514"', f'port="{self.port}" address="127.0.0.1"')
        assert f'file="{_OUTPUT}"' in text
        text = text.replace(_OUTPUT, f"{self.folder}/messages")
        return f'global(workDirectory="{self.folder}")\n{text}\n'

    def _example(self) -> str:
        """The configuration in the guide, with the files of this test."""
        assert self.authority is not None
        issued = self.authority.issue("syslog", "localhost")
        guide = _GUIDE.read_text(encoding="utf-8")
        found = re.search(r"^```ini\n(global\(.*?)^```", guide, re.MULTILINE | re.DOTALL)
        assert found is not None
        text = found[1]
        for name, file in (
            ("ca.pem", self.authority.file),
            ("syslog.pem", issued.certificate),
            ("syslog.key", issued.key),
        ):
            assert f"/etc/rsyslog.d/{name}" in text
            text = text.replace(f"/etc/rsyslog.d/{name}", str(file))
        return text

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "rsyslog.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False
