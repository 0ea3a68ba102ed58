"""A node with credentials of every type neither keeps nor shows any of them.

DICOM and HTTP use TLS; the token of the program and the key of the node are among them.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from typer.testing import CliRunner

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs
from node.processes.role_process import Role
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode
from tests.support.processes.secured_site import secured
from tests.support.servers.answering_server import AnsweringServer
from tests.support.waiting import until
from tests.support.whole_command_line import app

WAIT_S = 60.0
USER = "a-user-of-the-archive"
SECRETS = {
    name: f"S3cret-{name}-4711"
    for name in ("archive", "client", "issued", "ehr", "webhook", "hook-token", "mail", "identity")
}
_PAGE = re.compile(r'href="(/[^"?#]*)"')
_MAX_PAGES = 80

_CONFIGURATION = """
config = "database"
data_dir = "data"
log_level = "debug"
access.login = "none"

[listener]
host = "127.0.0.1"
port = {dicom_port}
user_identity = "verified"

[web]
port = {web_port}

[peers.ct]
ae_title = "CT"
host = "127.0.0.1"
port = 104
username = "ct"
password_env = "SEGNODE_TEST_IDENTITY"

[sources.archive]
url = "{archive}/dicom-web"
username = "{user}"
password_file = "{folder}/archive"

[queries.archive]
source = "archive"
every_minutes = 0.01

[worklists.hospital]
url = "{archive}/worklist"
tasks = [{{ code = "A", scheme = "99B", rule = "liver" }}]
poll_seconds = 0.5
{oauth}

[destinations.pacs]
kind = "dicomweb"
url = "{archive}/dicom-web"
{oauth}

[destinations.ehr]
kind = "fhir"
url = "{archive}/r4"
token_env = "SEGNODE_TEST_EHR"

[alerts.webhook]
url_file = "{folder}/webhook"
token_file = "{folder}/hook-token"

[alerts.mail]
host = "127.0.0.1"
port = {closed_port}
sender = "segnode@hospital.example"
recipients = ["pacs@hospital.example"]
username = "segnode"
password_file = "{folder}/mail"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs", "ehr"]
when = {{ attribute = "Modality", equals = "CT" }}
"""
_OAUTH = """\
oauth_token_url = "{login}/token"
oauth_client_id = "segnode"
oauth_client_secret_file = "{folder}/client"
"""


@dataclass
class Site:
    """A running node, and the servers that refuse it."""

    node: RunningNode
    program: httpx.Client
    archive: AnsweringServer
    login: AnsweringServer
    hook: AnsweringServer
    outputs: dict[str, bytes] = field(default_factory=dict)  # of all that it shows and keeps


@pytest.fixture
def site(tmp_path: Path, tls: TlsSite | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A node whose servers repeat what they get in their answers."""
    monkeypatch.setenv("SEGNODE_TEST_IDENTITY", SECRETS["identity"])
    monkeypatch.setenv("SEGNODE_TEST_EHR", SECRETS["ehr"])
    token = f'{{"access_token": "{SECRETS["issued"]}", "token_type": "Bearer"}}'.encode()
    with ExitStack() as stack:
        archive = AnsweringServer(status=401, body=b"who are you?")
        login, hook = AnsweringServer(body=token), AnsweringServer(status=403)
        for server in (archive, login, hook):
            stack.enter_context(server)
        pacs = OrthancPacs(tmp_path)
        node = RunningNode(tmp_path / "node", pacs, roles=tuple(Role), tls=tls)
        stack.enter_context(closing(node))
        folder = tmp_path / "secrets"
        folder.mkdir()
        contents = SECRETS | {"webhook": f"{hook.url}/hooks/{SECRETS['webhook']}"}
        for name, content in contents.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(content)
        names = {"folder": folder, "login": login.url}
        text = _CONFIGURATION.format(
            dicom_port=node.dicom_port,
            web_port=node.web_port,
            closed_port=free_ports(1)[0],
            archive=archive.url,
            user=USER,
            oauth=_OAUTH.format(**names),
            **names,
        )
        node.config_file.write_text(secured(text, tls, node.tls_port))
        node.start()
        with node.program() as program:
            program.follow_redirects = True
            yield Site(node, program, archive, login, hook)


def test_no_secret_is_kept_or_shown(site: Site, tmp_path: Path) -> None:
    config = str(site.node.config_file)
    (tmp_path / "backup").mkdir(mode=0o700)
    use_all_credentials(site)
    collect_processes(site)
    collect_pages(site)
    for command in (
        ["check", "-c", config],
        ["config", "show", "-c", config],
        ["alerts", "test", "-c", config],
        ["backup", str(tmp_path / "backup"), "-c", config],
    ):
        result = CliRunner().invoke(app, command)
        site.outputs[f"segnode {command[0]}"] = f"{result.output}{result.exception}".encode()
    site.node.kill()
    for file in (*site.node.folder.rglob("*"), *(tmp_path / "backup").rglob("*")):
        if file.is_file():
            site.outputs[str(file.relative_to(tmp_path))] = file.read_bytes()

    searched = "\n".join(holders_of(site, USER))
    for place in ("/api/connections", "segnode config", "node/data/segnode.db", "backup/"):
        assert place in searched, "the search finds what is no secret"
    found = {
        (name, holder)
        for name, secret in (SECRETS | secrets_of_access(site)).items()
        for form in forms_of(secret)
        for holder in holders_of(site, form)
    }
    assert not found


def secrets_of_access(site: Site) -> dict[str, str]:
    """The token of the program and a line of the node's private key."""
    if site.node.tls is None:
        return {}
    token = site.program.headers["Authorization"].removeprefix("Bearer ")
    key = site.node.tls.node.key.read_text().splitlines()
    return {"token": token, "key": key[1]}


def use_all_credentials(site: Site) -> None:
    """Waits until every credential has been sent, but for those of mail and of the peer."""
    until(lambda: site.login.requests, WAIT_S, "a request for a token")
    until(lambda: len(site.archive.requests) > 4, WAIT_S, "requests of timers")
    for name in ("sources/test/archive", "destinations/test/pacs", "destinations/test/ehr"):
        url = f"/api/connections/{name}"
        report = site.program.post(url).raise_for_status().json()
        assert not report["passed"]
    CliRunner().invoke(app, ["alerts", "test", "-c", str(site.node.config_file)])
    sent = "".join([*site.archive.authorization, *site.login.authorization])
    basic = base64.b64encode(f"{USER}:{SECRETS['archive']}".encode()).decode()
    assert all(each in sent for each in (basic, SECRETS["issued"], SECRETS["ehr"]))
    assert site.hook.authorization[-1] == f"Bearer {SECRETS['hook-token']}"
    assert SECRETS["webhook"] in site.hook.requests[-1][1]


def collect_processes(site: Site) -> None:
    """Collects the arguments of every process, as every user of the machine sees them."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            site.outputs[str(entry)] = entry.read_bytes()
        except OSError:
            continue  # it has ended
    of_node = holders_of(site, str(site.node.config_file))
    assert len(of_node) >= len(Role), "the processes of the node are among them"


def collect_pages(site: Site) -> None:
    """Collects every page and answer that is reached from the first page and from OpenAPI."""
    paths = site.program.get("/api/openapi.json").json()["paths"]
    waiting = ["/", *(path for path in paths if "get" in paths[path] and "{" not in path)]
    while waiting and len(site.outputs) < _MAX_PAGES * 10:
        path = waiting.pop(0)
        if path in site.outputs or path.startswith("/static"):
            continue
        with site.program.stream("GET", path) as response:
            content_type = response.headers.get("content-type", "")
            if "event-stream" in content_type:
                site.outputs[path] = b""  # it never ends
                continue
            site.outputs[path] = response.read()
        if "html" in content_type:
            waiting += _PAGE.findall(site.outputs[path].decode())


def holders_of(site: Site, text: str) -> set[str]:
    return {name for name, content in site.outputs.items() if text.encode() in content}


def forms_of(secret: str) -> set[str]:
    """How a secret can be written: as it is, in an address, and in HTTP Basic."""
    users = (USER, "segnode", "ct")
    basic = {base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users}
    return {secret, quote(secret, safe=""), *basic}
