"""Settings: what a file and the environment make of them, and how mistakes are told."""

from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.settings import FolderDestination, load_settings

VALID = """\
data_dir = "data"

[destinations.pacs]
kind = "cstore"
peer = "pacs"

[peers.pacs]
ae_title = "PACS"
host = "localhost"
port = 4242

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs"]
when = { attribute = "Modality", equals = "CT" }
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "site.toml"
    file.write_text(text, encoding="utf-8")
    return file


def mistakes_in(folder: Path, text: str) -> list[str]:
    """What loading the text complains of, a line each, without the folder."""
    with pytest.raises(Misconfigured) as caught:
        load_settings(write(folder, text))
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), start=1) if part in line)


def test_without_a_file_ct_goes_to_the_nodes_own_archive(tmp_path: Path) -> None:
    settings = load_settings(None)
    assert settings.file is None
    assert [rule.destinations for rule in settings.rules] == [("archive",)]
    archive = settings.destinations["archive"]
    assert isinstance(archive, FolderDestination)
    assert archive.path == settings.data_dir / "archive"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, VALID))
    assert settings.data_dir == tmp_path / "data"
    assert settings.database_url == f"sqlite:///{tmp_path}/data/segnode.db"


def test_a_file_with_rules_has_no_embedded_ones(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, VALID))
    assert set(settings.destinations) == {"pacs"}
    assert len(settings.rules) == 1


def test_the_environment_stands_above_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_LISTENER__PORT", "11113")
    monkeypatch.setenv("SEGNODE_DATA_DIR", str(tmp_path / "elsewhere"))
    settings = load_settings(write(tmp_path, VALID + "[listener]\nport = 1\nmax_associations = 3"))
    assert settings.listener.port == 11113
    assert settings.listener.max_associations == 3
    assert settings.data_dir == tmp_path / "elsewhere"


def test_a_rule_waits_as_long_as_the_site_unless_it_says_otherwise(tmp_path: Path) -> None:
    other = VALID[VALID.index("[[rules]]") :].replace('"liver"', '"quick"')
    text = "quiet_seconds = 7\n" + VALID + other.replace("when", "quiet_seconds = 2\nwhen")
    settings = load_settings(write(tmp_path, text))
    assert [rule.quiet_seconds for rule in settings.rules] == [7.0, 2.0]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("data_dir", "data_dri", "unknown setting (did you mean 'data_dir'?)"),
        ("port = 4242", "port = 424242", "less than or equal to 65535"),
        ("port = 4242", "prot = 4242", "unknown setting (did you mean 'port'?)"),
        ('"PACS"', '"A TITLE THAT IS TOO LONG"', "an AE title has 1 to 16 characters"),
        ('kind = "cstore"', 'kind = "cstor"', "there is no kind 'cstor' (did you mean 'cstore'?)"),
        ('peer = "pacs"', 'peer = "pac"', "there is no peer 'pac' (did you mean 'pacs'?)"),
        ('["pacs"]', '["pcas"]', "there is no destination 'pcas' (did you mean 'pacs'?)"),
        ('["pacs"]', "[]", "must be a list of names"),
        ('"liver-ct"', '"liver-tc"', "there is no model 'liver-tc' (did you mean 'liver-ct'?)"),
        ('"Modality"', '"Modalitty"', "is no DICOM keyword (did you mean 'Modality'?)"),
        ("equals", "equal", "unknown condition (did you mean 'equals'?)"),
        ("model =", "modle =", "unknown setting of a rule (did you mean 'model'?)"),
        ('equals = "CT"', 'matches = "(CT"', "is no regular expression"),
        ('equals = "CT"', "range = [5, 1]", "the lower end 5 lies above the upper end 1"),
        ('equals = "CT"', "at_least_slices = 0", "must be a whole number from 1"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    text = VALID.replace(right, wrong, 1)
    mistakes = mistakes_in(tmp_path, text)
    place = f"site.toml:{line_of(text, wrong)}: "
    assert any(m.startswith(place) and told in m for m in mistakes), mistakes


def test_all_mistakes_are_told_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = VALID.replace("4242", "0").replace("equals", "equal").replace("data_dir", "datadir")
    places = [m.split(":")[1] for m in mistakes_in(tmp_path, text)]
    assert places == sorted(places, key=int)
    assert len(places) == 3


def test_a_mistake_deep_in_a_condition_over_several_lines_is_found(tmp_path: Path) -> None:
    text = VALID.replace(
        'when = { attribute = "Modality", equals = "CT" }',
        "[rules.when]\nall = [\n"
        '  { attribute = "Modality", equals = "CT" },  # fine\n'
        "  # a comment between\n"
        "  { any = [\n    { at_least_slices = 3 },\n    { at_most_slices = 9 },\n  ] },\n]",
    )
    assert mistakes_in(tmp_path, text)[0].startswith(f"site.toml:{line_of(text, 'at_most')}: ")


def test_the_second_rule_is_named_by_its_own_line(tmp_path: Path) -> None:
    second = VALID[VALID.index("[[rules]]") :]
    text = VALID + second.replace('"liver"', '"other"').replace("Modality", "Modalty")
    assert mistakes_in(tmp_path, text)[0].startswith(f"site.toml:{line_of(text, 'Modalty')}: ")


def test_two_rules_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    text = VALID + VALID[VALID.index("[[rules]]") :]
    assert "there are two rules 'liver'" in mistakes_in(tmp_path, text)[0]


@pytest.mark.parametrize("text", ["a = ", "= 1", '[x\ny = "'])
def test_what_is_no_toml_is_told_with_the_file(tmp_path: Path, text: str) -> None:
    assert mistakes_in(tmp_path, text)[0].startswith("site.toml: is no TOML")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"missing\.toml: cannot be read"):
        load_settings(tmp_path / "missing.toml")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, VALID))
    with pytest.raises(ValueError, match="frozen"):
        settings.listener.port = 5
