"""The settings of logins."""

from pathlib import Path

import pytest

from node.domain.access.permissions import Role
from node.domain.errors import Misconfigured
from node.settings import Settings, load_settings


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "segnode.toml"
    file.write_text(f'data_dir = "data"\n{text}\n', encoding="utf-8")
    return load_settings(file)


def test_a_login_is_required_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, "").access.login == "required"
    assert load(tmp_path, 'web.host = "0.0.0.0"').access.login == "required"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_console_that_this_machine_alone_reaches_may_have_no_login(
    tmp_path: Path, host: str
) -> None:
    settings = load(tmp_path, f'access.login = "none"\nweb.host = "{host}"')
    assert settings.access.login == "none"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "segnode.hospital.example"])
def test_a_console_that_others_reach_needs_a_login(tmp_path: Path, host: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, f'web.host = "{host}"\naccess.login = "none"')
    message = str(refused.value)
    assert "segnode.toml:3" in message
    assert "access.login" in message
    assert host in message


_OIDC = """
[web]
public_url = "{public_url}"
names = ["segnode.hospital.example"]
[access]
local_accounts = "{local_accounts}"
[access.oidc]
issuer = "{issuer}"
client_id = "segnode"
scopes = {scopes}
roles = {roles}
"""
_RIGHT = {
    "public_url": "https://segnode.hospital.example",
    "local_accounts": "administrators",
    "issuer": "https://login.hospital.example/realms/staff",
    "scopes": '["openid", "profile"]',
    "roles": '{ radiology = "viewer", "pacs team" = "administrator" }',
}


def test_groups_of_a_provider_have_roles(tmp_path: Path) -> None:
    oidc = load(tmp_path, _OIDC.format(**_RIGHT)).access.oidc
    assert oidc is not None
    assert oidc.roles == {"radiology": Role.VIEWER, "pacs team": Role.ADMINISTRATOR}


@pytest.mark.parametrize(
    ("changed", "key", "message"),
    [
        ({"issuer": "http://login.hospital.example"}, "access.oidc.issuer", "https://"),
        ({"issuer": "https://login.hospital.example?a=b"}, "access.oidc.issuer", "address"),
        ({"issuer": "https://u:p@login.hospital.example"}, "access.oidc.issuer", "address"),
        ({"issuer": "login"}, "access.oidc.issuer", "address"),
        ({"scopes": '["profile"]'}, "access.oidc.scopes", "openid"),
        ({"roles": "{}"}, "access.oidc.roles", "nobody could log in"),
        ({"roles": '{ radiology = "reader" }'}, "access.oidc.roles.radiology", "viewer"),
        ({"public_url": ""}, "access.oidc.issuer", "web.public_url"),
        ({"public_url": "http://segnode.hospital.example"}, "web.public_url", "https://"),
        ({"public_url": "https://segnode.hospital.example/a"}, "web.public_url", "no path"),
        ({"public_url": "https://other.hospital.example"}, "web.public_url", "web.names"),
        ({"local_accounts": "none"}, "access.local_accounts", "all"),
    ],
)
def test_a_login_that_cannot_work_or_is_not_safe_is_a_mistake(
    tmp_path: Path, changed: dict[str, str], key: str, message: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, _OIDC.format(**_RIGHT | changed))
    assert key in str(refused.value)
    assert message in str(refused.value)


def test_nobody_is_locked_out_without_a_provider(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="lets nobody else log in"):
        load(tmp_path, 'access.local_accounts = "administrators"')


_PROXY = """
[web]
trusted_proxies = ["192.0.2.0/28"]
[access.proxy]
addresses = {addresses}
roles = {roles}
{more}
"""
_PROXY_RIGHT = {"addresses": '["192.0.2.7"]', "roles": '{ staff = "viewer" }', "more": ""}


def test_groups_of_a_proxy_have_roles(tmp_path: Path) -> None:
    proxy = load(tmp_path, _PROXY.format(**_PROXY_RIGHT)).access.proxy
    assert proxy is not None
    assert proxy.roles == {"staff": Role.VIEWER}
    assert not proxy.has_secret


@pytest.mark.parametrize(
    ("changed", "key", "message"),
    [
        ({"addresses": "[]"}, "access.proxy.addresses", "must name"),
        ({"addresses": '["0.0.0.0/0"]'}, "access.proxy.addresses", "lets everybody log in"),
        ({"addresses": '["::/0"]'}, "access.proxy.addresses", "lets everybody log in"),
        ({"addresses": '["198.51.100.1"]'}, "access.proxy.addresses", "web.trusted_proxies"),
        ({"addresses": '["proxy"]'}, "access.proxy.addresses", "an address or a network"),
        ({"roles": "{}"}, "access.proxy.roles", "nobody could log in"),
        ({"roles": '{ staff = "reader" }'}, "access.proxy.roles.staff", "viewer"),
        ({"more": 'user_header = "X_User"'}, "access.proxy.user_header", 'without "_"'),
        ({"more": 'user_header = "Cookie"'}, "access.proxy.user_header", "another meaning"),
        (
            {"more": 'groups_header = "X-Forwarded-For"'},
            "access.proxy.groups_header",
            "another meaning",
        ),
        (
            {"more": 'user_header = "x-forwarded-groups"'},
            "access.proxy.user_header",
            "different headers",
        ),
        ({"more": 'group_separator = ""'}, "access.proxy.group_separator", "must not be empty"),
        (
            {"more": 'sign_out_address = "//evil"'},
            "access.proxy.sign_out_address",
            "must be a path",
        ),
        ({"more": 'secret_file = "a/b"'}, "access.proxy.secret_file", "absolute path"),
        (
            {"more": 'secret_file = "/s"\nsecret_env = "S"'},
            "access.proxy.secret_file",
            "cannot stand beside secret_env",
        ),
    ],
)
def test_a_login_by_proxy_that_cannot_work_or_is_not_safe_is_a_mistake(
    tmp_path: Path, changed: dict[str, str], key: str, message: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, _PROXY.format(**_PROXY_RIGHT | changed))
    assert key in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ('[access.proxy]\nuser_heder = "X"\n', "user_header"),
        ('[access.oidc]\nisuer = "X"\n', "issuer"),
        ("[audit.syslog]\ntsl = true\n", "tls"),
    ],
)
def test_a_misspelt_setting_of_a_table_within_a_table_has_a_suggestion(
    tmp_path: Path, text: str, suggestion: str
) -> None:
    with pytest.raises(Misconfigured, match=f"did you mean '{suggestion}'"):
        load(tmp_path, text)


def test_a_proxy_and_a_provider_exclude_each_other(tmp_path: Path) -> None:
    text = _OIDC.format(**_RIGHT).replace("names =", 'trusted_proxies = ["192.0.2.7"]\nnames =')
    proxy = '[access.proxy]\naddresses = ["192.0.2.7"]\nroles = { staff = "viewer" }\n'
    with pytest.raises(Misconfigured, match=r"access\.oidc: cannot stand beside \[access\.proxy\]"):
        load(tmp_path, text + proxy)
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, text + proxy + 'user_heder = "X"\n[listener]\nport = -1\n')
    for mistake in ("cannot stand beside", "user_heder", "listener.port"):
        assert mistake in str(refused.value), "all mistakes are reported together"
