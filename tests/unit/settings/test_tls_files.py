"""Settings that name files for TLS: each must exist, and have an effect."""

from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.settings import load_settings

_FILES = 'ca_file = "site.toml"\ncertificate_file = "site.toml"\nkey_file = "site.toml"\n'
_TASKS = 'tasks = [{ code = "A", scheme = "B", rule = "liver" }]\n'
_RULE = '[[rules]]\nname = "liver"\nmodel = "liver-ct"\ndestinations = ["files"]\n'
_WHEN = 'when = { attribute = "Modality", equals = "CT" }\n'
_DESTINATION = '[destinations.files]\nkind = "cstore"\npeer = "pacs"\n'
_PEER = '[peers.pacs]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'
_HTTP_TABLES = {
    "sources.pacs": "",
    "worklists.hospital": _TASKS,
    "destinations.research": 'kind = "dicomweb"\n',
    "destinations.ehr": 'kind = "fhir"\n',
    "alerts.webhook": "",
}


def mistakes_in(folder: Path, text: str) -> list[tuple[str, str]]:
    """Returns key and message of each mistake in a file with this text."""
    file = folder / "site.toml"
    file.write_text(f'data_dir = "data"\n{text}\n{_RULE}{_WHEN}{_DESTINATION}{_PEER}')
    try:
        load_settings(file)
    except Misconfigured as error:
        return [(each.key, each.message) for each in error.mistakes]
    return []


@pytest.mark.parametrize("table", _HTTP_TABLES)
def test_every_connection_by_https_has_the_three_files(tmp_path: Path, table: str) -> None:
    text = f'[{table}]\nurl = "https://server.example"\n{_HTTP_TABLES[table]}{_FILES}'
    assert mistakes_in(tmp_path, text) == []


@pytest.mark.parametrize("table", _HTTP_TABLES)
def test_the_files_have_no_effect_by_http(tmp_path: Path, table: str) -> None:
    text = f'[{table}]\nurl = "http://server.example"\n{_HTTP_TABLES[table]}{_FILES}'
    mistakes = mistakes_in(tmp_path, text)
    # Earlier versions took a ca_file there.
    tolerated = {"destinations.ehr.ca_file", "alerts.webhook.ca_file"}
    keys = [f"{table}.{key}" for key in ("ca_file", "certificate_file", "key_file")]
    assert [key for key, _ in mistakes] == [key for key in keys if key not in tolerated]
    assert all("begins with http: use https" in message for _, message in mistakes)


@pytest.mark.parametrize("table", _HTTP_TABLES)
def test_a_file_must_exist(tmp_path: Path, table: str) -> None:
    url = 'url = "https://server.example"\n'
    text = f'[{table}]\n{url}{_HTTP_TABLES[table]}ca_file = "missing.pem"\n'
    ((key, message),) = mistakes_in(tmp_path, text)
    assert key == f"{table}.ca_file"
    assert message == f"there is no file {tmp_path / 'missing.pem'}"


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        f'[web]\ncertificate_file = "site.toml"\n[sources.pacs]\nurl = "https://pacs"\n{_FILES}'
    )
    settings = load_settings(file)
    assert settings.web.certificate_file == file
    assert settings.sources["pacs"].tls_files.key == file


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('key_file = "site.toml"', "key_file", "has no effect without a certificate_file"),
        ("redirect_port = 8081", "redirect_port", "has no effect without a certificate_file"),
        (
            'certificate_file = "site.toml"\nredirect_port = 8080',
            "redirect_port",
            "is the port for HTTPS, too",
        ),
        (
            'certificate_file = "site.toml"\nredirect_port = 11112',
            "redirect_port",
            "the listener uses port 11112 already",
        ),
        ('certificate_file = "none.pem"', "certificate_file", "there is no file"),
    ],
)
def test_the_settings_of_the_web_server_fit_together(
    tmp_path: Path, text: str, key: str, message: str
) -> None:
    ((found, said),) = mistakes_in(tmp_path, f"[web]\n{text}\n")
    assert found == f"web.{key}"
    assert message in said
