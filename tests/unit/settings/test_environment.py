"""Settings from environment variables, and the error messages for mistakes in them."""

from pathlib import Path

import pytest

from node.settings import CStoreDestination, load_settings
from tests.unit.settings.site import VALID, mistakes_in, write


def test_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_LISTENER__PORT", "11113")
    monkeypatch.setenv("SEGNODE_DATA_DIR", str(tmp_path / "elsewhere"))
    settings = load_settings(write(tmp_path, VALID + "[listener]\nport = 1\nmax_associations = 3"))
    assert settings.listener.port == 11113
    assert settings.listener.max_associations == 3
    assert settings.data_dir == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SEGNODE_LISTENER__PORT", "abc", "must be a whole number"),
        ("SEGNODE_LISTENER__PROT", "104", "unknown setting (did you mean 'port'?)"),
        ("SEGNODE_LISTNER__PORT", "104", "unknown setting (did you mean 'LISTENER'?)"),
        ("SEGNODE_CATALOGUES", "/not/there", "there is no folder /not/there"),
        ("SEGNODE_MONITORING__DETECT_DRIFT", "maybe", "must be true or false"),
        ("SEGNODE_QUIET_SECONDS", "-1", "must be above 0"),
    ],
)
def test_a_mistake_in_the_environment_is_reported_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    (mistake,) = mistakes_in(tmp_path, VALID)
    assert f" {variable}: " in mistake
    assert message in mistake


@pytest.mark.parametrize("text", ["false", "0", "no"])
def test_the_environment_sets_true_and_false(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SEGNODE_MONITORING__DETECT_DRIFT", text)
    monkeypatch.setenv("SEGNODE_DESTINATIONS__PACS__DEFLATED", "true")
    settings = load_settings(write(tmp_path, VALID))
    assert settings.monitoring.detect_drift is False
    pacs = settings.destinations["pacs"]
    assert isinstance(pacs, CStoreDestination)
    assert pacs.deflated is True


def test_a_section_in_the_environment_must_be_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_LISTENER", "abc")
    assert "the value is not JSON" in mistakes_in(tmp_path, VALID)[0]


def test_the_environment_sets_the_rules_quiet_time_and_lists_of_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_QUIET_SECONDS", "3")
    monkeypatch.setenv("SEGNODE_CATALOGUES", f"{tmp_path}:{tmp_path}")
    monkeypatch.setenv("SEGNODE_PORT", "tcp://10.0.0.1:11112")  # as container engines do
    monkeypatch.setenv("SEGNODE_FILE", "/elsewhere")
    settings = load_settings(write(tmp_path, "quiet_seconds = 7\n" + VALID))
    assert settings.rules[0].quiet_seconds == 3
    assert settings.catalogues == (tmp_path, tmp_path)
    assert settings.file == tmp_path / "site.toml"
