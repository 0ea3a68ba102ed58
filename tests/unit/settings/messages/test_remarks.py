"""Remarks on valid settings that deserve attention."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.messages.remarks import remarks
from tests.unit.settings.site import VALID, write

_TWO = '[peers.two]\nae_title = "PACS"\nhost = "b"\nport = 1\nretrieve = "get"\n'
_WEB = '[sources.web]\nurl = "http://s/x"\n'
_QUERY = '[queries.new]\nsource = "web"\n'


@pytest.mark.parametrize(
    ("added", "remark"),
    [
        (_TWO, "Peers 'pacs' and 'two' have the same AE title PACS"),
        (_WEB + 'username = "u"\n', "Source 'web': username without a password (password_file"),
        (
            _WEB + 'username = "u"\npassword_env = "UNSET_PASSWORD"\n',
            "sources.web.password_env: the environment variable UNSET_PASSWORD is not set",
        ),
        (
            '[destinations.ehr]\nkind = "fhir"\nurl = "http://e/r4"\ntoken_env = "UNSET_TOKEN"\n',
            "destinations.ehr.token_env: the environment variable UNSET_TOKEN is not set",
        ),
        (
            '[alerts.webhook]\nurl = "http://e/hook"\n',
            "Alerts by webhook: everybody who knows the address may use it.",
        ),
        (
            '[alerts.mail]\nhost = "m"\nsender = "a@b.c"\nrecipients = ["a@b.c"]\nusername = "u"\n',
            "Alerts by mail: username without a password (password_file",
        ),
        (
            '[worklists.w]\nurl = "http://w/x"\nusername = "u"\npassword_env = "UNSET_PASSWORD"\n'
            'tasks = [{ code = "A", scheme = "B", rule = "liver" }]\n',
            "worklists.w.password_env: the environment variable",
        ),
        (_WEB + _QUERY + 'modality = "MR"\n', "Query 'new': no rule takes MR"),
        (
            _WEB + 'oauth_token_url = "http://l/t"\noauth_client_id = "c"\n'
            'oauth_client_secret_env = "HOME"\n',
            "sources.web.oauth_token_url: the client secret is sent to http://l/t without",
        ),
    ],
)
def test_what_is_valid_and_useless_has_a_remark(tmp_path: Path, added: str, remark: str) -> None:
    settings = load_settings(write(tmp_path, VALID + added))
    (found,) = (each for each in remarks(settings) if "no rule names it" not in each)
    assert found.startswith(remark)


def test_a_fallback_that_is_sent_anyway_has_a_remark(tmp_path: Path) -> None:
    objects = 'objects = ["seg", "capture"]\nfallback = ["capture", "pdf"]\nkind ='
    (found,) = remarks(load_settings(write(tmp_path, VALID.replace("kind =", objects, 1))))
    assert found.startswith("Destination 'pacs': fallback has capture, which objects has as well")


def test_a_complete_configuration_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_PASSWORD", "secret")
    login = 'username = "u"\npassword_env = "SET_PASSWORD"\n'
    text = VALID + _TWO.replace('"PACS"', '"OTHER"') + _WEB + login + _QUERY
    assert list(remarks(load_settings(write(tmp_path, text)))) == []


@pytest.mark.parametrize(
    ("mode", "path", "expected"),
    [
        (0o755, "/srv/out", ["mode 755); the node closes it when it starts"]),
        (0o750, "/srv/out", ["its group can read it (mode 750)"]),
        (0o700, "/srv/out", []),
        (0o700, "data/out", ["Destination 'out': its folder is in data_dir"]),
        (
            0o755,
            "data/out",
            ["Destination 'out': its folder is in data_dir", "closes all in it but that folder"],
        ),
    ],
)
def test_an_open_data_folder_has_a_remark(
    tmp_path: Path, mode: int, path: str, expected: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    destination = f'[destinations.out]\nkind = "folder"\npath = "{path}"\n'
    text = VALID.replace('destinations = ["pacs"]', 'destinations = ["pacs", "out"]') + destination
    found = list(remarks(load_settings(write(tmp_path, text))))
    assert len(found) == len(expected)
    assert all(text in remark for text, remark in zip(expected, found, strict=True))


@pytest.mark.parametrize("changed", ["segnode.toml", ".", "ca.pem"])
def test_a_configuration_that_everybody_can_change_has_a_remark(
    tmp_path: Path, changed: str
) -> None:
    (tmp_path / "ca.pem").write_text("an authority")
    file = write(tmp_path, VALID + '[dicom_tls]\nca_file = "ca.pem"\n')
    assert list(remarks(load_settings(file))) == []
    target = file if changed == "segnode.toml" else tmp_path / changed
    target.chmod(target.stat().st_mode | 0o002)
    (remark,) = remarks(load_settings(file))
    assert remark == f"{target}: every user of this machine can change it: chmod o-w {target}."


@pytest.mark.parametrize(
    ("condition", "is_refused"),
    [
        ('attribute = "Modality", equals = "MR"', True),
        ('attribute = "Modality", one_of = ["MR", "PT"]', True),
        ('attribute = "SamplesPerPixel", equals = 3', True),
        ('not = { attribute = "Modality", equals = "CT" }', True),
        ('attribute = "Modality", one_of = ["CT", "MR"]', False),
        ('attribute = "BodyPartExamined", equals = "LIVER"', False),
    ],
)
def test_a_rule_for_series_that_the_node_refuses_has_a_remark(
    tmp_path: Path, condition: str, is_refused: bool
) -> None:
    text = VALID.replace('attribute = "Modality", equals = "CT"', condition)
    found = [each for each in remarks(load_settings(write(tmp_path, text))) if "refuses" in each]
    assert len(found) == is_refused
    assert all("Rule 'liver': the node refuses every series that it matches" in f for f in found)
    disabled = text.replace("[[rules]]", "[[rules]]\nenabled = false")
    assert not any("refuses" in r for r in remarks(load_settings(write(tmp_path, disabled))))
