"""A proxy that the settings do not name is a problem for a day, or until they name it."""

from datetime import timedelta
from pathlib import Path

import pytest

from node.domain.monitoring.problem import Urgency
from node.health.untrusted_proxies import note_untrusted_proxy, untrusted_proxy_problems
from node.settings import Settings
from node.settings.network.web import WebOptions
from tests.support.factories import NOON


def settings_with(data_dir: Path, *proxies: str) -> Settings:
    return Settings(data_dir=data_dir, web=WebOptions(trusted_proxies=proxies))


def test_the_latest_proxy_is_named_with_its_remedy(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    assert untrusted_proxy_problems(settings, NOON) == []
    note_untrusted_proxy(tmp_path, "192.0.2.1", NOON - timedelta(hours=1))
    note_untrusted_proxy(tmp_path, "127.0.0.1", NOON)
    (problem,) = untrusted_proxy_problems(settings, NOON)
    assert (problem.key, problem.urgency) == ("untrusted-proxy:127.0.0.1", Urgency.NOTICE)
    assert "add 127.0.0.1 to trusted_proxies" in problem.remedy
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_ends_after_a_day_or_with_the_setting(tmp_path: Path) -> None:
    note_untrusted_proxy(tmp_path, "192.0.2.1", NOON)
    assert untrusted_proxy_problems(settings_with(tmp_path), NOON + timedelta(hours=25)) == []
    assert untrusted_proxy_problems(settings_with(tmp_path, "192.0.2.0/28"), NOON) == []
    assert untrusted_proxy_problems(settings_with(tmp_path, "192.0.2.16/28"), NOON) != []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"address": "x"}', '{"address": 1, "at": "?"}'])
def test_a_damaged_note_is_none(tmp_path: Path, text: str) -> None:
    note_untrusted_proxy(tmp_path, "192.0.2.1", NOON)
    (file,) = tmp_path.iterdir()
    file.write_text(text, encoding="utf-8")
    assert untrusted_proxy_problems(settings_with(tmp_path), NOON) == []


def test_a_folder_that_cannot_be_written_stops_no_request(tmp_path: Path) -> None:
    note_untrusted_proxy(tmp_path / "missing", "192.0.2.1", NOON)
