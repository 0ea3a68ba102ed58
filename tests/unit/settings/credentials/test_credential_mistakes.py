"""Settings of credentials that cannot work together are mistakes with their key and line."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.credentials.tables import secret_sources
from tests.unit.settings.site import VALID, mistakes_in, write

_SOURCE = '[sources.s]\nurl = "https://s/dicom-web"\n'
_OAUTH = 'oauth_token_url = "https://login/token"\n'
_CLIENT = 'oauth_client_id = "segnode"\n'
_CLIENT_SECRET = 'oauth_client_secret_file = "client-secret"\n'


@pytest.mark.parametrize(
    "table",
    [
        _SOURCE,
        '[destinations.d]\nkind = "dicomweb"\nurl = "https://d/dicom-web"\n',
        '[destinations.d]\nkind = "fhir"\nurl = "https://d/r4"\n',
        '[worklists.w]\nurl = "https://w/x"\n'
        'tasks = [{ code = "A", scheme = "B", rule = "liver" }]\n',
        '[alerts.webhook]\nurl = "https://chat/hooks/x"\n',
    ],
)
@pytest.mark.parametrize(
    ("added", "mistakes"),
    [
        ('username = "u"\npassword_file = "p"\n', []),
        ('token_file = "/etc/t"\n', []),
        (_OAUTH + _CLIENT + _CLIENT_SECRET, []),
        (_OAUTH + _CLIENT + 'oauth_client_secret_env = "S"\noauth_scope = "x"\n', []),
        (
            'username = "u"\npassword_file = "p"\npassword_env = "P"\n',
            ["password_file: cannot stand beside password_env: set one of them"],
        ),
        ('token_env = "T"\ntoken_file = "t"\n', ["token_file: cannot stand beside token_env"]),
        ('password_file = "p"\n', ["password_file: has no effect without a username"]),
        ('username = "u"\ntoken_env = "T"\n', ["token_env: cannot stand beside username"]),
        (
            'username = "u"\n' + _OAUTH + _CLIENT + _CLIENT_SECRET,
            ["oauth_token_url: cannot stand beside username"],
        ),
        (
            _CLIENT + _CLIENT_SECRET,
            [
                "oauth_client_id: has no effect without oauth_token_url",
                "oauth_client_secret_file: has no effect without oauth_token_url",
            ],
        ),
        (_OAUTH + _CLIENT_SECRET, ["oauth_token_url: needs oauth_client_id"]),
        (_OAUTH + _CLIENT, ["oauth_token_url: needs oauth_client_secret_file or"]),
        ('token_file = "../t"\n', ["token_file: must be an absolute path, or the name of a"]),
        ('oauth_token_url = "https://u:p@login/t"\n', ["must hold no name and password"]),
    ],
)
def test_a_server_has_one_way_to_know_the_node(
    tmp_path: Path, table: str, added: str, mistakes: list[str]
) -> None:
    text = VALID + table + added
    if not mistakes:
        assert load_settings(write(tmp_path, text))
        return
    found = mistakes_in(tmp_path, text)
    assert len(found) == len(mistakes)
    assert all(expected in line for expected, line in zip(mistakes, sorted(found), strict=True))


@pytest.mark.parametrize(
    ("added", "mistake"),
    [
        ("", "alerts.webhook.url: is missing: set url, url_env or url_file"),
        ('url = "https://c/x"\nurl_file = "hook"\n', "url_file: cannot stand beside url"),
        ('url_env = "HOOK"\nurl_file = "hook"\n', "url_file: cannot stand beside url_env"),
    ],
)
def test_the_address_of_a_webhook_is_in_one_place(tmp_path: Path, added: str, mistake: str) -> None:
    (found,) = mistakes_in(tmp_path, VALID + "[alerts.webhook]\n" + added)
    assert mistake in found


@pytest.mark.parametrize(
    ("url", "mistake"),
    [
        ("sqlite:////tmp/x.db", "database_password_file: has no effect with SQLite"),
        ("", "database_password_file: has no effect with SQLite"),
        ("postgresql://u:p@db/x", "has no effect with a password in database_url"),
    ],
)
def test_the_password_of_the_database_is_for_postgresql(
    tmp_path: Path, url: str, mistake: str
) -> None:
    text = f'database_url = "{url}"\ndatabase_password_file = "db"\n{VALID}'
    (found,) = mistakes_in(tmp_path, text)
    assert mistake in found


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            'store_url = "s3://bkt"\nstore_access_key = "k"\n',
            "store_access_key: needs store_secret",
        ),
        (
            'store_url = "s3://bkt"\nstore_secret_key_file = "s"\n',
            "has no effect without store_acc",
        ),
        ('store_access_key = "k"\nstore_secret_key_file = "s"\n', "no effect without store_url"),
    ],
)
def test_the_keys_of_an_object_store_belong_together(
    tmp_path: Path, text: str, mistake: str
) -> None:
    assert any(mistake in found for found in mistakes_in(tmp_path, text + VALID))


def test_every_secret_that_the_settings_name_is_found(tmp_path: Path) -> None:
    text = (
        'database_url = "postgresql://u@db/x"\ndatabase_password_file = "a"\n'
        + VALID
        + _SOURCE
        + 'token_env = "B"\n[destinations.d]\nkind = "dicomweb"\nurl = "https://d/x"\n'
        + _OAUTH
        + _CLIENT
        + _CLIENT_SECRET
        + '[listener]\nuser_identity = "verified"\n[alerts.webhook]\nurl_file = "c"\n'
        '[peers.ct]\nae_title = "CT"\nhost = "ct"\nport = 104\nusername = "ct"\n'
        'password_env = "D"\n'
    )
    sources = [source.key for _, source in secret_sources(load_settings(write(tmp_path, text)))]
    assert sorted(sources) == [
        "alerts.webhook.url_file",
        "database_password_file",
        "destinations.d.oauth_client_secret_file",
        "peers.ct.password_env",
        "sources.s.token_env",
    ]
