"""The command line: its output and exit status."""

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from models.data.layouts import LAYOUTS
from node.cli.demo import PacsChoice
from node.cli.main import main
from node.cli.options import operating_system_user
from node.cli.queues.deliveries import OpenState
from node.cli.queues.job_list import ListState
from node.domain.findings import Finding, FindingKind
from node.domain.identifiers import Uid
from node.domain.job import HELD, Job, JobState
from node.domain.listing.listed_states import ListedState
from node.domain.series import SeriesPart, SeriesState
from node.health.untrusted_proxies import note_untrusted_proxy
from node.processes.role_process import Role
from node.routing.rule_matching import Decision
from node.settings import load_settings
from node.store import Store
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.dicom.phases import two_phases
from tests.support.factories import NOON, job_of, received
from tests.support.peers.secure_port import TlsSite


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs `segnode ARGUMENTS`; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["segnode", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    code = exited.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Returns a configuration file whose data folder is beside it."""
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\n', encoding="utf-8")
    return file


def test_check_summarises_a_valid_configuration(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    assert "no mistakes" in capsys.readouterr().out


def test_check_names_a_proxy_that_the_settings_lack(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "data").mkdir()
    note_untrusted_proxy(config.parent / "data", "192.0.2.8", datetime.now(UTC))
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    assert "add 192.0.2.8 to trusted_proxies in [web]" in capsys.readouterr().out


def test_check_names_the_tls_port_and_refuses_a_key_that_others_can_read(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = TlsSite.create(config.parent / "tls")
    peer = '[peers.ct1]\nae_title = "CT1"\nhost = "192.0.2.21"\nport = 104\n'
    config.write_text(
        f'data_dir = "data"\n{site.settings}[listener]\ntls_port = 2762\nplain = false\n{peer}',
        encoding="utf-8",
    )
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    shown = capsys.readouterr().out
    assert "Listens as SEGNODE on 0.0.0.0:2762 with TLS, only from CT1." in shown
    assert "Peers without certificate_name: 'ct1'." in shown
    assert "private key" not in shown
    site.node.key.chmod(0o644)
    assert run(monkeypatch, "check", "-c", str(config)) != 0
    shown = capsys.readouterr().err
    assert f"the private key in {site.node.key} is open to other users" in shown


def test_check_names_an_expired_certificate_with_its_setting(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = TlsSite.create(config.parent / "tls")
    site.authority.issue("node", valid_from=-timedelta(days=9), valid_for=timedelta(days=1))
    config.write_text(
        f'data_dir = "data"\n{site.settings}[listener]\ntls_port = 2762\n', encoding="utf-8"
    )
    assert run(monkeypatch, "check", "-c", str(config)) != 0
    shown = capsys.readouterr().err
    assert "dicom_tls.certificate_file" in shown
    assert "expired on" in shown


def test_check_names_certificates_and_rules_that_are_wrong_together(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        'data_dir = "data"\n[web]\ncertificate_file = "web.pem"\nkey_file = "web.key"\n'
        '[[rules]]\nname = "liver"\nmodel = "liver-ct"\nsend_to = ["nowhere"]\n',
        encoding="utf-8",
    )
    assert run(monkeypatch, "check", "-c", str(config)) == 1
    said = capsys.readouterr().err
    assert "site.toml:5: rules.1" in said
    assert "web.certificate_file" in said


def test_check_names_a_device_that_the_host_does_not_have(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('data_dir = "data"\nworker.device = "cuda:63"\n', encoding="utf-8")
    assert run(monkeypatch, "check", "-c", str(config)) == 1
    assert "worker.device: the device 'cuda:63' cannot be used here" in capsys.readouterr().err


def test_check_says_which_rules_are_disabled(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        '[destinations.archive]\nkind = "folder"\npath = "archive"\n'
        '[[rules]]\nname = "later"\nmodel = "liver-ct"\ndestinations = ["archive"]\n'
        "enabled = false\nwhen = { at_least_slices = 20 }\n",
        encoding="utf-8",
    )
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    assert "Rule 'later': liver-ct -> archive, disabled" in capsys.readouterr().out


def test_check_names_the_scheduled_queries(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        'data_dir = "data"\n[sources.web]\nurl = "http://pacs/dicom-web"\n'
        '[queries.new-ct]\nsource = "web"\nevery_minutes = 5\n',
        encoding="utf-8",
    )
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    assert "Query 'new-ct': CT from web every 5 min." in capsys.readouterr().out


def test_check_names_what_is_valid_and_deserves_attention(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        'data_dir = "data"\n'
        '[destinations.his]\nkind = "hl7"\nhost = "his"\nport = 2575\n'
        '[destinations.pacs]\nkind = "folder"\npath = "pacs"\nobjects = ["sr"]\n'
        '[[rules]]\nname = "liver"\nmodel = "liver-ct"\ndestinations = ["his", "pacs"]\n'
        'when = { attribute = "Modality", equals = "CT" }\n',
        encoding="utf-8",
    )
    assert run(monkeypatch, "check", "-c", str(config)) == 0
    printed = capsys.readouterr().out
    assert "Destination 'his': no codes for Liver; the node's own codes are sent." in printed
    assert "Destination 'pacs': objects has sr without seg" in printed


def test_check_of_an_invalid_configuration_reports_the_line_and_exits_with_1(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('data_dir = "data"\nquiet_secs = 3\n', encoding="utf-8")
    assert run(monkeypatch, "check", "-c", str(config)) == 1
    error = capsys.readouterr().err
    assert f"{config}:2: quiet_secs: unknown setting (did you mean 'quiet_seconds'?)" in error


def test_serve_does_not_start_with_an_invalid_rule(
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


def test_jobs_list_reports_that_no_series_was_received(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "jobs", "list", "-c", str(config)) == 0
    assert "Nothing has been received yet." in capsys.readouterr().out


def test_jobs_list_prints_json(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "jobs", "list", "--json", "-c", str(config)) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jobs", "start", "1.2.3"), "no series 1.2.3 has been received"),
        (("jobs", "show", "abc"), "no job id starts with 'abc'"),
        (("jobs", "retry", "abc"), "no job id starts with 'abc'"),
        (("jobs", "discard", "abc", "--reason", "x"), "no job id starts with 'abc'"),
        (("jobs", "export", "abc", "x.dcm"), "no job id starts with 'abc'"),
        (("explain", "1.2.3"), "no series 1.2.3 has been received"),
        (("explain", "not a uid"), "is not a valid DICOM UID"),
    ],
)
def test_an_unknown_series_or_job_is_reported_in_one_line(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert run(monkeypatch, *arguments, "-c", str(config)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


@pytest.fixture
def parked(config: Path) -> Job:
    """Returns a parked job with a result that was not delivered."""
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
    capsys.readouterr()
    assert run(monkeypatch, "audit", "list", "-c", str(config)) == 0
    recorded = capsys.readouterr().out
    assert (
        f"exported (success), {operating_system_user()} (command line) by cli: job {parked.job_id}"
        in recorded
    )
    missing_folder = str(tmp_path / "nowhere" / "out.dcm")
    assert run(monkeypatch, "jobs", "export", name, missing_folder, "-c", str(config)) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert parked.result_path is not None
    parked.result_path.rename(tmp_path / "lost")
    assert run(monkeypatch, "jobs", "export", name, str(output), "-c", str(config)) == 1
    assert f"{parked.result_path} is missing: run the job again" in capsys.readouterr().err
    (tmp_path / "lost").rename(parked.result_path)
    discard, retry = ("discard", name, "--reason", "repeated scan"), ("retry", name)
    assert run(monkeypatch, "jobs", "discard", name, "-c", str(config)) == 2
    assert "--reason" in capsys.readouterr().err
    assert run(monkeypatch, "jobs", *discard, "-c", str(config)) == 0
    assert run(monkeypatch, "jobs", "list", "-c", str(config)) == 0
    assert f"discarded by {operating_system_user()}: repeated scan" in capsys.readouterr().out
    for command in (discard, retry):
        assert run(monkeypatch, "jobs", *command, "-c", str(config)) == 1
        assert "is discarded; only a parked job can be" in capsys.readouterr().err
    assert run(monkeypatch, "jobs", "export", name, str(output), "-c", str(config)) == 0
    capsys.readouterr()
    assert run(monkeypatch, "jobs", "rerun", name, "-c", str(config)) == 0
    assert "queued to run again from its images" in capsys.readouterr().out
    assert run(monkeypatch, "jobs", "rerun", name, "-c", str(config)) == 1
    assert "is queued; only an ended job" in capsys.readouterr().err


def test_a_job_is_released_once(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir)
    store.add_instance(received(), settings.data_dir / "1.dcm", 1, NOON)
    job = job_of(Uid("1.2.3"))
    store.add_job(job)
    store.change_job(job.job_id, JobState.PARKED, NOON, reason=f"{HELD}The liver has 3 parts.")
    store.close()
    name = job.job_id[:8]
    assert run(monkeypatch, "jobs", "release", name, "-c", str(config)) == 0
    assert run(monkeypatch, "jobs", "release", name, "-c", str(config)) == 1
    assert f"job {name} is already released; it is queued" in capsys.readouterr().err


def test_jobs_list_finds_what_is_held(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir)
    for series, reason in (("1.2.3", f"{HELD}The liver has 3 parts."), ("1.2.4", "not delivered")):
        store.add_instance(
            received(sop_instance_uid=f"{series}.1", series_instance_uid=series),
            settings.data_dir / series,
            1,
            NOON,
        )
        job = job_of(Uid(series))
        store.add_job(job)
        store.change_job(job.job_id, JobState.PARKED, NOON, reason=reason)
    store.close()

    def listed(state: str) -> list[str]:
        arguments = ("jobs", "list", "--state", state, "--json", "-c", str(config))
        assert run(monkeypatch, *arguments) == 0
        return [each["series_instance_uid"] for each in json.loads(capsys.readouterr().out)]

    assert listed("held") == ["1.2.3"]
    assert sorted(listed("parked")) == ["1.2.3", "1.2.4"]
    assert listed("refused") == []


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (("jobs", "list", "--state"), tuple(ListState)),
        (("jobs", "retry", "1", "--state"), tuple(OpenState)),
        (("jobs", "redirect", "1", "--state"), tuple(OpenState)),
        (("jobs", "discard", "1", "--reason", "x", "--state"), tuple(OpenState)),
        (("series", "list", "--state"), tuple(ListedState)),
        (("demo", "--pacs"), tuple(PacsChoice)),
        (("serve", "--role"), tuple(Role)),
        (("dataset", ".", "--layout"), tuple(LAYOUTS)),
    ],
)
def test_an_unknown_value_is_answered_with_those_that_are_allowed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    allowed: tuple[str, ...],
) -> None:
    assert run(monkeypatch, *arguments, "hald") != 0
    printed = " ".join(capsys.readouterr().err.replace("│", "").split())
    assert "Value error" not in printed
    for value in allowed:
        assert re.search(rf"\b{re.escape(value)}\b", printed), value


def test_a_number_that_is_none_is_answered_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "jobs", "list", "--limit", "many") != 0
    assert "Invalid value for '--limit': must be a whole number" in capsys.readouterr().err


def test_explain_reports_each_series_of_a_folder(
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
    output = capsys.readouterr().out
    assert output.count("3 images:") == 2
    assert "is CT" in output
    assert "Series 1.2.3, 3 images:" in output
    assert "is MR" in output


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("wen", "the configuration has no source 'wen' (did you mean 'web'?)"),
        ("ct", "peer 'ct' has no setting `retrieve`"),
        ("web", "the query would match every study"),
    ],
)
def test_fetch_checks_the_source_before_the_criteria(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    message: str,
) -> None:
    config.write_text(
        'data_dir = "data"\n[sources.web]\nurl = "http://pacs/dicom-web"\n'
        '[peers.ct]\nae_title = "CT"\nhost = "ct"\nport = 104\n',
        encoding="utf-8",
    )
    assert run(monkeypatch, "fetch", source, "-c", str(config)) != 0
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


EACH = """
[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "phases"
model = "liver-ct"
destinations = ["archive"]
acquisitions = "each"
when = { attribute = "Modality", equals = "CT" }
"""


def test_explain_names_the_parts_of_a_folder(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config.write_text(config.read_text(encoding="utf-8") + EACH, encoding="utf-8")
    two_phases().write(tmp_path / "ct")
    assert run(monkeypatch, "explain", str(tmp_path / "ct"), "-c", str(config)) == 0
    parts = "2 parts, each with a job of its own: acquisition 1, acquisition 2"
    assert parts in capsys.readouterr().out


def test_list_show_and_explain_say_which_part_a_job_is_about(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir)
    store.add_instance(received(), settings.data_dir / "1.dcm", 1, NOON)
    part = SeriesPart("AcquisitionNumber", "2", 2, 2, 24, 24, "digest")
    job = replace(job_of(Uid("1.2.3")), part=part)
    decision = Decision((), ("acquisition 1", "acquisition 2")).to_json()
    store.record_decision("1.2.3", decision, SeriesState.ACCEPTED, NOON, 1, jobs=[job])
    store.close()
    assert run(monkeypatch, "jobs", "list", "-c", str(config)) == 0
    assert f"job {job.job_id[:8]}, acquisition 2 queued" in capsys.readouterr().out
    assert run(monkeypatch, "jobs", "show", job.job_id, "-c", str(config)) == 0
    assert json.loads(capsys.readouterr().out)["part"]["value"] == "2"
    assert run(monkeypatch, "explain", "1.2.3", "-c", str(config)) == 0
    assert "(liver-ct 1.0, acquisition 2): queued" in capsys.readouterr().out


def test_explain_tells_the_findings_of_a_job(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir)
    store.add_instance(received(), settings.data_dir / "1.dcm", 1, NOON)
    finding = Finding(FindingKind.EXCLUDED_IMAGES, "", "1 object was left out: 1 localizer.")
    job = replace(job_of(Uid("1.2.3")), findings=(finding,))
    decision = Decision(()).to_json()
    store.record_decision("1.2.3", decision, SeriesState.ACCEPTED, NOON, 1, jobs=[job])
    store.close()
    assert run(monkeypatch, "explain", "1.2.3", "-c", str(config)) == 0
    assert finding.text in capsys.readouterr().out


def test_a_malformed_target_is_reported_with_the_correct_form(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "echo", "PACS", "-c", str(config)) == 2
    assert "AE_TITLE@host:port" in capsys.readouterr().err


def test_sending_a_file_that_is_not_dicom_is_reported(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "send", "A@localhost:1", str(config), "-c", str(config)) == 1
    assert "Not a DICOM file" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [(), ("jobs",), ("jobs", "list"), ("check",)])
def test_every_level_has_both_help_options(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    flag: str,
) -> None:
    assert run(monkeypatch, *command, flag) == 0
    assert f"Usage: {' '.join(('segnode', *command))}" in capsys.readouterr().out


def test_the_version_is_that_of_the_distribution(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"segnode {version('segnode')}\n"


def test_the_shell_completes_command_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SEGNODE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "segnode jobs re")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run(monkeypatch) == 0
    assert capsys.readouterr().out.split() == ["release", "rerun", "retry", "redirect"]


def test_help_offers_to_install_shell_completion(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    output = capsys.readouterr().out
    assert "--install-completion" in output
    assert "--show-completion" in output
