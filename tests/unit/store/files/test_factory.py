"""Selection of the file storage by the settings."""

import sys
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.settings import Settings, load_settings
from node.store.files import DataFolder
from node.store.files.factory import open_files


def settings(folder: Path, configuration: str) -> Settings:
    config = folder / "segnode.toml"
    config.write_text(f'data_dir = "data"\n{configuration}', encoding="utf-8")
    return load_settings(config)


def test_without_a_bucket_files_are_in_the_data_folder(tmp_path: Path) -> None:
    assert isinstance(open_files(settings(tmp_path, "")), DataFolder)


def test_a_missing_client_library_is_reported_with_its_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "node.store.files.s3", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Misconfigured, match=r"boto3 is missing: pip install 'segnode\[s3\]'"):
        open_files(settings(tmp_path, 'store_url = "s3://segnode"'))


@pytest.mark.parametrize("url", ["s3://", "s3://A", "segnode", "s3://segnode?x", "s3://a/b//c"])
def test_an_address_without_a_bucket_is_reported_with_its_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(Misconfigured, match="must be an address such as s3://bucket") as caught:
        settings(tmp_path, f'store_url = "{url}"')
    assert caught.value.line == 2
