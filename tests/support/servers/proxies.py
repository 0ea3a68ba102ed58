"""nginx and Caddy with the configurations in deploy/proxy, in front of a server on loopback."""

import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from node.demo.free_ports import free_ports
from tests.support.certificate_authority import CertificateAuthority
from tests.support.waiting import until

NAME = "segnode.hospital.example"
_EXAMPLES = Path(__file__).parents[3] / "deploy" / "proxy"
_START_S = 30.0


@dataclass(frozen=True)
class Proxy:
    """A running proxy, which takes HTTPS and HTTP on loopback."""

    https_port: int
    http_port: int
    authority: CertificateAuthority

    def client(self) -> httpx.Client:
        """Returns a client that addresses the proxy by its name."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.https_port}",
            headers={"Host": NAME},
            event_hooks={"request": [_name_server]},
            verify=self._context(),
            timeout=60,
        )

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.file)


def _name_server(request: httpx.Request) -> None:
    """Has the handshake name the server, as that of a browser does (SNI)."""
    request.extensions["sni_hostname"] = NAME


@contextmanager
def running_proxy(
    kind: str,
    folder: Path,
    upstream_port: int,
    *,
    example: str = "",
    login_port: int = 0,
) -> Iterator[Proxy]:
    """Runs nginx or caddy on free ports; skips where it is not installed.

    `example` is another file of deploy/proxy; its login is a server on `login_port`.
    """
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed: apt install {kind}")
    authority = CertificateAuthority.create(folder / "authority")
    issued = authority.issue("proxy", NAME, "127.0.0.1")
    https_port, http_port = free_ports(2)
    proxy = Proxy(https_port, http_port, authority)
    replaced = {
        "127.0.0.1:8080": f"127.0.0.1:{upstream_port}",
        "127.0.0.1:4180": f"127.0.0.1:{login_port}",
        "/segnode.pem": "/proxy.pem",
        "/segnode.key": "/proxy.key",
        "/etc/nginx": str(issued.certificate.parent),
        "/etc/caddy": str(issued.certificate.parent),
    }
    text = _example(example or _EXAMPLES_OF[kind], replaced)
    command = _COMMANDS[kind](folder, text, proxy)
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(folder))
    try:
        until(lambda: _answers(proxy), _START_S, f"{kind} to start")
        yield proxy
    finally:
        # On a stop, Caddy waits for open event streams; a killed nginx leaves its workers behind.
        process.send_signal(signal.SIGKILL if kind == "caddy" else signal.SIGTERM)
        process.wait(_START_S)


def _answers(proxy: Proxy) -> bool:
    try:
        with proxy.client() as client:
            return client.get("/").status_code > 0
    except httpx.TransportError:
        return False


def _nginx(folder: Path, text: str, proxy: Proxy) -> list[str]:
    text = text.replace("listen 443", f"listen 127.0.0.1:{proxy.https_port}")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{proxy.http_port};")
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{text}\n}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr", "-p", str(folder)]


def _caddy(folder: Path, text: str, proxy: Proxy) -> list[str]:
    ports = f"http_port {proxy.http_port}\n\thttps_port {proxy.https_port}"
    options = f"{{\n\tadmin off\n\t{ports}\n\tdefault_bind 127.0.0.1\n}}\n"
    (folder / "Caddyfile").write_text(options + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


_EXAMPLES_OF = {"nginx": "nginx.conf", "caddy": "Caddyfile"}
_COMMANDS: Mapping[str, Callable[[Path, str, Proxy], list[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
}


def _example(name: str, replaced: Mapping[str, str]) -> str:
    text = (_EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
