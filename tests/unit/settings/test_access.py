"""The settings of logins."""

from pathlib import Path

import pytest

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
