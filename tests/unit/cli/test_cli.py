"""The command line: what it prints, and with which status it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.main import main
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.settings import load_settings
from node.store import Store
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.factories import NOON, job_of, received


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of `segnode ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["segnode", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with its data in a folder of its own."""
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\n', encoding="utf-8")
    return file


def test_check_of_a_good_configuration_says_what_it_does(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    assert "no mistakes" in capsys.readouterr().out


def test_check_of_a_bad_configuration_ends_with_1_and_the_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('data_dir = "data"\nquiet_secs = 3\n', encoding="utf-8")
    assert run(monkeypatch, "check", "-c", str(config)) == 1
    told = capsys.readouterr().err
    assert f"{config}:2: quiet_secs: unknown setting (did you mean 'quiet_seconds'?)" in told


def test_serve_does_not_start_with_a_wrong_rule(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        'data_dir = "data"\n[[rules]]\nname = "x"\nmodel = "liver-ct"\ndestinations = ["archive"]\n'
        'when = { attribute = "Modality", eqals = "CT" }\n',
        encoding="utf-8",
    )
    assert run(monkeypatch, "serve", "-c", str(config)) != 0
    assert f"{config}:6: " in capsys.readouterr().err
    assert not (config.parent / "data").exists()


def test_jobs_list_of_an_empty_node_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "jobs", "list", "-c", str(config)) == 0
    assert "Nothing has come in yet." in capsys.readouterr().out


def test_jobs_list_for_programs_is_json(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "jobs", "list", "--json", "-c", str(config)) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("jobs", "start", "1.2.3"), "no series 1.2.3 has been received"),
        (("jobs", "show", "abc"), "no job begins with 'abc'"),
        (("jobs", "retry", "abc"), "no job begins with 'abc'"),
        (("jobs", "discard", "abc"), "no job begins with 'abc'"),
        (("jobs", "export", "abc", "x.dcm"), "no job begins with 'abc'"),
        (("explain", "1.2.3"), "no series 1.2.3 has been received"),
        (("explain", "not a uid"), "is not a valid DICOM UID"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    assert run(monkeypatch, *arguments, "-c", str(config)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert told in lines[0]


@pytest.fixture
def parked(config: Path) -> Job:
    """A job that came to a result, which no destination took."""
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir)
    store.add_instance(received(), settings.data_dir / "1.dcm", 1, NOON)
    job = job_of(Uid("1.2.3"))
    result = settings.data_dir / "result.dcm"
    result.write_bytes(b"a DICOM SEG")
    store.add_job(job)
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.change_job(job.job_id, JobState.DELIVERING, NOON, result_path=result)
    job = store.change_job(job.job_id, JobState.PARKED, NOON, reason="not delivered")
    store.close()
    return job


def test_a_parked_job_is_exported_and_discarded(
    config: Path,
    parked: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, output = parked.job_id[:8], tmp_path / "out.dcm"
    assert run(monkeypatch, "jobs", "export", name, str(output), "-c", str(config)) == 0
    assert output.read_bytes() == b"a DICOM SEG"
    nowhere = str(tmp_path / "nowhere" / "out.dcm")
    assert run(monkeypatch, "jobs", "export", name, nowhere, "-c", str(config)) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert run(monkeypatch, "jobs", "discard", name, "-c", str(config)) == 0
    for command in ("discard", "retry"):
        assert run(monkeypatch, "jobs", command, name, "-c", str(config)) == 1
        assert "is discarded; only a parked job can be" in capsys.readouterr().err
    assert run(monkeypatch, "jobs", "export", name, str(output), "-c", str(config)) == 0
    capsys.readouterr()
    assert run(monkeypatch, "jobs", "rerun", name, "-c", str(config)) == 0
    assert "queued from its beginning" in capsys.readouterr().out
    assert run(monkeypatch, "jobs", "rerun", name, "-c", str(config)) == 1
    assert "is queued; only a job that has ended" in capsys.readouterr().err


def test_each_series_of_a_folder_is_explained_by_itself(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = grid(slices=3, rows=8, columns=8)
    ct_series(geometry=small).write(tmp_path / "ct" / "a")
    other = ct_series(geometry=small).modify(lambda _, d: setattr(d, "Modality", "MR"))
    other.modify(lambda _, d: setattr(d, "SeriesInstanceUID", "1.2.3")).write(tmp_path / "ct" / "b")
    assert run(monkeypatch, "explain", str(tmp_path / "ct"), "-c", str(config)) == 0
    told = capsys.readouterr().out
    assert told.count("3 images:") == 2
    assert "is CT" in told
    assert "Series 1.2.3, 3 images:" in told
    assert "is MR" in told


def test_a_target_of_the_wrong_form_is_told_with_the_right_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "echo", "PACS", "-c", str(config)) == 2
    assert "AE_TITLE@host:port" in capsys.readouterr().err


def test_sending_a_folder_without_dicom_is_told(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "send", "A@localhost:1", str(config), "-c", str(config)) == 1
    assert "no DICOM file" in capsys.readouterr().err


def test_help_starts_without_torch() -> None:
    program = (
        "import sys; sys.argv = ['segnode', '--help']\n"
        "from node.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "False"
