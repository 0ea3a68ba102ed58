"""The version of a model that a rule chooses, and its candidate for shadow runs."""

from pathlib import Path

import pytest

from models.installed_packages import find
from node.app import App, build
from node.settings import Settings, load_settings
from node.store import Store
from tests.unit.settings.site import VALID, mistakes_in, write

_LIVER = find("liver-ct")
_NEWER = f"{_LIVER.model_id}@9.0.0"


@pytest.fixture
def site(tmp_path: Path) -> str:
    """A configuration whose catalogue holds another version of liver-ct."""
    folder = tmp_path / "catalogue" / "newer"
    folder.mkdir(parents=True)
    own = _LIVER.weights.parent
    text = (own / "model.toml").read_text("utf-8").replace(f'"{_LIVER.version}"', '"9.0.0"')
    (folder / "model.toml").write_text(text, "utf-8")
    (folder / "weights.safetensors").symlink_to(own / "weights.safetensors")
    return f'catalogues = ["catalogue"]\n{VALID}'


def with_model(text: str, model: str) -> str:
    return text.replace('model = "liver-ct"', model)


def built(settings: Settings) -> App:
    """The components of a worker with these settings."""
    return build(settings, Store.open(settings.database_url, settings.data_dir), "test")


def test_a_rule_selects_one_of_several_versions(tmp_path: Path, site: str) -> None:
    for name in (_NEWER, _LIVER.reference):
        settings = load_settings(write(tmp_path, with_model(site, f'model = "{name}"')))
        assert settings.rules[0].model == name
        version = built(settings).series_completion.installed_version(name)
        assert version == name.partition("@")[2]


def test_a_name_without_version_is_a_mistake_where_several_are_installed(
    tmp_path: Path, site: str
) -> None:
    (mistake,) = mistakes_in(tmp_path, site)
    assert mistake.endswith(
        f"there are several versions of 'liver-ct': choose one of \"{_LIVER.reference}\", "
        f'"{_NEWER}"'
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('model = "liver-ct@1.2"', "this version is not installed; there is"),
        (f'model = "{_NEWER}"\nshadow = "{_NEWER}"', "shadow: is the model of the rule"),
        (f'model = "{_NEWER}"\nshadow = "livr-ct@1"', "shadow: there is no model 'livr-ct@1'"),
        (
            f'model = "{_NEWER}"\nshadow = 3',
            'must name a model with its version, such as "liver-ct@0.3.0"',
        ),
    ],
)
def test_a_mistake_in_a_model_is_explained(
    tmp_path: Path, site: str, keys: str, message: str
) -> None:
    assert any(message in line for line in mistakes_in(tmp_path, with_model(site, keys)))


def test_rules_for_the_same_version_share_one_name(tmp_path: Path) -> None:
    second = VALID[VALID.index("[[rules]]") :].replace('"liver"', '"second"')
    both = VALID + with_model(second, f'model = "{_LIVER.reference}"\nshadow = "organs-ct"')
    app = built(load_settings(write(tmp_path, both)))
    rules = app.series_completion.rules
    assert [rule.model for rule in rules] == ["liver-ct", "liver-ct"]
    assert rules[1].shadow == find("organs-ct").reference
