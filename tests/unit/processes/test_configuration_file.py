"""Changes of the configuration file in the audit trail."""

from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.processes.configuration_file import ConfigurationFile
from node.settings import Settings, load_settings
from node.store.audit_trail.chain import ChainedRecord
from node.store.opening import opened_store
from tests.support.audit_records import audit_records

TEXT = 'data_dir = "data"\nquiet_seconds = 7\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file whose data folder exists."""
    (tmp_path / "data").mkdir()
    made = tmp_path / "segnode.toml"
    made.write_text(TEXT, encoding="utf-8")
    return made


def use(file: Path) -> Settings:
    settings = load_settings(file)
    ConfigurationFile(file).record_use(settings)
    return settings


def records(settings: Settings) -> list[ChainedRecord]:
    store = opened_store(settings)
    try:
        return list(reversed(audit_records(store)))
    finally:
        store.close()


def test_a_changed_file_is_recorded_once_with_its_difference(file: Path) -> None:
    settings = use(file)
    use(file)
    file.write_text(TEXT.replace("7", "9"), encoding="utf-8")
    use(file)
    use(file)
    first, second = records(settings)
    assert first.objects == second.objects == (("configuration", str(file)),)
    assert (second.action, second.outcome) == ("configuration changed", "success")
    assert "+quiet_seconds = 7" in first.change
    assert second.change.splitlines()[-2:] == ["-quiet_seconds = 7", "+quiet_seconds = 9"]


def test_the_text_that_is_kept_for_comparison_has_no_secret_and_is_private(file: Path) -> None:
    secret = '[alerts.webhook]\nurl = "https://chat/hooks/T0KEN"\n'
    file.write_text(TEXT + secret, encoding="utf-8")
    file.chmod(0o600)
    settings = use(file)
    (record,) = records(settings)
    kept = settings.data_dir / "recorded-configuration.toml"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "url" in record.change
    assert "T0KEN" not in record.change + kept.read_text(encoding="utf-8")


def test_a_file_with_mistakes_is_recorded_as_not_used(file: Path) -> None:
    settings = use(file)
    file.write_text("quiet_second = 7\n", encoding="utf-8")
    with pytest.raises(Misconfigured) as mistakes:
        load_settings(file)
    ConfigurationFile(file).record_mistakes(settings, mistakes.value)
    _first, refused = records(settings)
    assert refused.outcome == "minor failure"
    assert refused.detail.startswith("not used: ")
    assert "quiet_second: unknown setting" in refused.detail


def test_a_change_that_cannot_be_recorded_is_recorded_later(file: Path) -> None:
    settings = load_settings(file)
    # A folder cannot be opened as a database.
    url = f"sqlite:///{settings.data_dir}"
    ConfigurationFile(file).record_use(settings.model_copy(update={"database_url": url}))
    use(file)
    assert len(records(settings)) == 1


def test_a_node_with_the_defaults_has_no_file_to_record(tmp_path: Path) -> None:
    ConfigurationFile(None).record_use(Settings(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []
