"""The example configurations in orthanc/ and deploy/ work with Orthanc and the node."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from node.settings import CStoreDestination, load_settings
from tests.pacs.conftest import HOOK, StartOrthanc, log_of

_ROOT = Path(__file__).resolve().parents[2]
_README = _ROOT / "orthanc" / "README.md"
_EXAMPLES = [_ROOT / "orthanc" / "orthanc.json", _ROOT / "deploy" / "compose" / "orthanc.json"]
_OUR_KEYS = ("Segnode", "DicomModalities", "StableAge", "DicomWeb")


def example(file: Path) -> dict[str, Any]:
    """Reads Orthanc's JSON, without its comment lines."""
    text = re.sub(r"^\s*//.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    configuration: dict[str, Any] = json.loads(text)
    return configuration


@pytest.mark.parametrize("file", _EXAMPLES, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_the_example_configuration_starts_orthanc_with_the_hook(
    start_orthanc: StartOrthanc, file: Path
) -> None:
    configuration = example(file)
    ours = {key: configuration[key] for key in _OUR_KEYS}
    pacs = start_orthanc(python_script=HOOK, configuration=ours)
    assert f"segnode: stable CT series go to {ours['Segnode']['Url']}, mode dicomweb" in log_of(
        pacs
    )
    assert Path(configuration["PythonScript"]).name == HOOK.name


def test_the_node_configuration_in_the_readme_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    file = tmp_path / "segnode.toml"
    file.write_text(textwrap.dedent(block[1]), encoding="utf-8")
    settings = load_settings(file)
    assert example(_EXAMPLES[0])["Segnode"]["Source"] in settings.sources
    assert isinstance(settings.destinations["orthanc"], CStoreDestination)


def test_the_compose_files_of_node_and_orthanc_agree() -> None:
    settings = load_settings(_ROOT / "deploy" / "compose" / "segnode.toml")
    orthanc = example(_EXAMPLES[1])
    ae_title, host, port = orthanc["DicomModalities"]["segnode"]
    assert (ae_title, port) == (settings.listener.ae_title, settings.listener.port)
    assert orthanc["Segnode"]["Url"] == f"http://{host}:{settings.web.port}"
    assert orthanc["Segnode"]["Source"] in settings.sources


def test_the_readme_names_every_setting_of_the_hook(start_orthanc: StartOrthanc) -> None:
    pacs = start_orthanc(
        python_script=HOOK, configuration={"Segnode": {"Url": "http://127.0.0.1", "Wrong": 1}}
    )
    known = re.search(r"Wrong is unknown; known are (.*)", log_of(pacs))
    assert known is not None
    table = re.findall(r"^\| `(\w+)` \|", _README.read_text(encoding="utf-8"), re.MULTILINE)
    assert table == known[1].split(", ")
