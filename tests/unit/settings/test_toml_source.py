"""The line number of each key, in every notation that TOML has for it."""

from pathlib import Path

import pytest

from node.settings.toml_source import KeyPath, TomlSource

TEXT = '''\
listener.port = 1
[peers."CT 1"]
ae_title = "A"
host = 'x'
[destinations]
a = { kind = "folder", path = "x" }
b.kind = "folder"
[[rules]]
name = """a
b"""
destinations = [
  "x",  # one
  "y" ]
when.all = [ { at_least_slices = 1 },
  { not = { from_ae = [
     "Q"] } } ]
[[rules]]
name = "z"
[rules.when]
not = { attribute = "a" }
'''


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("listener", "port"), 1),
        (("peers", "CT 1", "host"), 4),
        (("destinations", "a", "path"), 6),
        (("destinations", "b", "kind"), 7),
        (("rules", 0, "name"), 9),
        (("rules", 0, "destinations", 1), 13),
        (("rules", 0, "when", "all", 1, "not", "from_ae", 0), 16),
        (("rules", 1, "name"), 18),
        (("rules", 1, "when", "not", "attribute"), 20),
    ],
)
def test_a_key_has_its_line(tmp_path: Path, path: KeyPath, line: int, line_end: str) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(TEXT.replace("\n", line_end).encode())
    assert TomlSource.read(file).line(path) == line


def test_a_missing_key_has_the_line_of_its_table(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(TEXT, encoding="utf-8")
    source = TomlSource.read(file)
    assert source.line(("rules", 1, "model")) == 17
    assert source.line(("nowhere",)) is None
