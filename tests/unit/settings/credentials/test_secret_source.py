"""A secret comes from an environment variable or from a file that is for the node alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured, Transient
from node.settings.credentials import secret_source
from node.settings.credentials.secret_source import SecretSource

KEY = "sources.pacs.password_file"
SECRET = "geheim"


def in_file(file: Path | str) -> SecretSource:
    return SecretSource(KEY, file=str(file))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a secret that is for its owner alone."""
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"geheim", "geheim"),
        (b"geheim\n", "geheim"),
        (b"geheim\r\n", "geheim"),
        (b" ge heim ", " ge heim "),
        ("gehéim\n".encode(), "gehéim"),
    ],
)
def test_one_line_break_at_the_end_does_not_belong_to_the_secret(
    file: Path, content: bytes, secret: str
) -> None:
    file.write_bytes(content)
    assert in_file(file).read() == secret


def test_a_renewed_secret_is_used_at_once(file: Path) -> None:
    source = in_file(file)
    assert source.current() == SECRET
    file.write_text("another")
    assert source.current() == "another"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"two\nlines\n", "in one line"),
        (b"geheim\n\n", "in one line"),
        (b"geheim\x00", "in one line"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 70_000, "over 64 KiB"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_without_its_content(
    file: Path, content: bytes, message: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match=message) as caught:
        in_file(file).read()
    assert caught.value.key == KEY
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(Misconfigured, match=rf"mode {mode:04o}\): chmod 600 {file}"):
        in_file(file).read()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=f"there is no file {tmp_path / 'missing'}"):
        in_file(tmp_path / "missing").read()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(Misconfigured, match="cannot be read"):
        in_file(tmp_path).read()


def test_a_process_that_runs_tries_again_later_where_the_file_is_being_replaced(
    file: Path,
) -> None:
    source = in_file(file)
    source.read()
    file.unlink()
    with pytest.raises(Transient, match=f"{KEY}: there is no file"):
        source.current()


def credential_of_systemd(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    patch.setattr(secret_source, "CONTAINER_SECRETS", folder / "no-secrets")


def secret_of_a_container(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    patch.setattr(secret_source, "CONTAINER_SECRETS", folder)


@pytest.mark.parametrize("provide", [credential_of_systemd, secret_of_a_container])
def test_a_name_is_that_of_a_credential_whose_folder_is_protected(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    provide: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    provide(file.parent, monkeypatch)
    file.chmod(0o444)  # systemd adds an access list, and Docker mounts with this mode
    assert in_file("password").read() == SECRET
    assert in_file(file).read() == SECRET
    with pytest.raises(Misconfigured, match=f"no credential other in .*{file.parent}"):
        in_file("other").read()


def test_a_path_that_leaves_a_protected_folder_is_checked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "secrets").mkdir()
    secret_of_a_container(file.parent / "secrets", monkeypatch)
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="open to other users"):
        in_file(file.parent / "secrets" / ".." / "password").read()


def test_a_variable_that_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SecretSource("sources.pacs.password_env", variable="PACS_PASSWORD")
    monkeypatch.setenv("PACS_PASSWORD", SECRET)
    assert source.read() == SECRET
    monkeypatch.delenv("PACS_PASSWORD")
    with pytest.raises(Misconfigured, match=r"password_env: .* PACS_PASSWORD is not set"):
        source.read()


def test_without_a_name_the_secret_is_empty() -> None:
    assert not SecretSource(KEY).is_named
    assert not SecretSource(KEY).read()
