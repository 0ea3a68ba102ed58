"""Remarks of `segnode check` on logins and on the audit trail."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.messages.remarks import remarks

PROXY = """
[web]
trusted_proxies = ["10.0.0.0/8"]
[access.proxy]
addresses = ["{address}"]
secret_env = "PATH"
roles = {{ staff = "viewer" }}
"""


def remarks_on(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "segnode.toml"
    file.write_text(f'data_dir = "data"\n{text}\n', encoding="utf-8")
    return list(remarks(load_settings(file)))


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("access.session_hours = 100_000", "access.session_hours 100000: who gets hold"),
        ("access.session_hours = 24.5", "access.session_hours 24.5: who gets hold"),
        (
            "access.session_hours = 1\naccess.idle_minutes = 900",
            "access.idle_minutes 900: it has no effect, because each session ends after 1 h",
        ),
        ("access.idle_minutes = 600", "access.idle_minutes 600: a console that somebody leaves"),
        ("retention.audit_days = 1", "retention.audit_days 1: records of the audit trail are"),
        ("retention.audit_days = 179", "are removed after 179 days"),
        (
            '[audit.syslog]\nhost = "siem.example"\ntls = false',
            "audit.syslog: the records, with names of users",
        ),
        (PROXY.format(address="10.1.0.0/16"), "10.1.0.0/16: each machine of this network"),
    ],
)
def test_an_extreme_setting_has_one_remark(tmp_path: Path, text: str, remark: str) -> None:
    (found,) = remarks_on(tmp_path, text)
    assert remark in found


@pytest.mark.parametrize(
    "text",
    [
        "access.session_hours = 24\naccess.idle_minutes = 480",
        'access.login = "none"\naccess.session_hours = 1000',
        "retention.audit_days = 180",
        '[audit.syslog]\nhost = "siem.example"',
        '[audit.syslog]\nhost = "127.0.0.1"\ntls = false',
        PROXY.format(address="10.1.2.0/24"),
    ],
)
def test_usual_settings_have_none(tmp_path: Path, text: str) -> None:
    assert remarks_on(tmp_path, text) == []
