"""Every command of the README and of the guides is run, or checked where it cannot be run."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from tests.support.deployment_files import compose_services, deployments
from tests.support.guides.command_line import options_of, parse
from tests.support.guides.commands import (
    CLASSES,
    GUIDES,
    ROOT,
    CommandClass,
    GuideCommand,
    Treatment,
    commands_of,
    inline_commands,
)
from tests.support.guides.site import guide_site
from tests.support.servers.http_receiver import http_receiver

# `segnode ...` alone, or behind a program that runs it, up to a redirection.
WITHIN = re.compile(r"(?:^|-- |exec (?:-T )?\w+ )segnode ([^<>&|;]+)")
DCMTK = ("echoscu ", "storescp ", "storescu ")
RUN = {Treatment.NODE, Treatment.SHELL}


def name_of(guide: Path) -> str:
    return guide.relative_to(ROOT).as_posix()


WITH_RUN = [guide for guide in GUIDES if RUN & {c.treatment for c in commands_of(guide)}]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    if missing := orthanc_missing():
        pytest.skip(missing)
    permissions = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    with OrthancPacs(tmp_path_factory.mktemp("orthanc"), configuration=permissions) as running:
        yield running


@pytest.mark.parametrize("guide", WITH_RUN, ids=name_of)
def test_the_commands_of_a_guide_work_in_their_order(
    guide: Path, pacs: OrthancPacs, tmp_path: Path
) -> None:
    commands = [command for command in commands_of(guide) if command.treatment in RUN]
    names_jobs = any(
        re.search(r"\b(?:JOB|SERIES_UID)\b|/data/ct", command.text) for command in commands
    )
    failures = []
    with (
        http_receiver() as receiver,
        guide_site(tmp_path, pacs, receiver, names_jobs=names_jobs) as site,
    ):
        for command in commands:
            run = site.segnode if command.treatment is Treatment.NODE else site.shell
            if failure := run(command.text):
                failures.append(f"{command.text}\n  {failure}")
    assert not failures, "\n".join(failures)


NOT_RUN = [
    pytest.param(command, id=f"{name_of(guide)}: {command.text}")
    for guide in GUIDES
    for command in commands_of(guide)
    if command.treatment not in RUN
]


@pytest.mark.parametrize("command", NOT_RUN)
def test_a_command_that_is_not_run_is_correct(command: GuideCommand, tmp_path: Path) -> None:
    assert command.treatment is not Treatment.UNKNOWN, "add a class to CLASSES in commands.py"
    assert command.reason
    checked = subprocess.run(["bash", "-n", "-c", command.text], check=False, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    if found := WITHIN.search(command.text):
        parse(shlex.split(found[1]), tmp_path)
    if command.text.startswith(DCMTK):
        check_dcmtk_options(command.text)
    check_names(command.text)


def check_dcmtk_options(text: str) -> None:
    """Checks that the help of a program of dcmtk names the options of a command."""
    program, *words = shlex.split(text)
    if shutil.which(program) is None:
        pytest.skip("dcmtk is not installed: apt-get install dcmtk")
    usage = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    for option in (word for word in words if word.startswith(("+", "-"))):
        assert re.search(rf"(?:^|\s){re.escape(option)}\s", usage), option


def check_names(text: str) -> None:
    """Checks the files, units, targets, stages and services that a command names."""
    for file in re.findall(r"(?<![\w/.-])deploy/[\w./@-]+", text):
        if "exec deploy/" not in text:
            assert (ROOT / file).exists(), file
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    for stage in re.findall(r"^docker build .*--target (\S+)", text):
        assert f" AS {stage}\n" in dockerfile, stage
    for argument in re.findall(r"--build-arg (\w+)=", text):
        assert f"ARG {argument}" in dockerfile, argument
    services = compose_services()
    for service in re.findall(r"^docker compose .* exec (?:-T )?(\S+)", text):
        assert service in services, service
    for profile in re.findall(r"--profile (\w+)", text):
        assert any(profile in service.get("profiles", ()) for service in services.values()), profile
    for name in re.findall(r"exec deploy/segnode-(\S+)", text):
        assert name in deployments(), name
    units = {path.name for path in (ROOT / "deploy/systemd").iterdir()}
    for unit in re.findall(r"systemctl [a-z-]+ (?:--now )?(\S+)", text):
        full = unit if re.search(r"\.(?:service|timer)$", unit) else f"{unit}.service"
        assert re.sub(r"@\w+", "@", full) in units, unit


@pytest.mark.parametrize(
    ("guide", "words"),
    [
        pytest.param(guide, words, id=f"{name_of(guide)}: {words}")
        for guide in GUIDES
        for words in inline_commands(guide)
    ],
)
def test_a_command_in_the_text_of_a_guide_exists(guide: Path, words: str) -> None:
    named = {word for word in words.split() if word.startswith("-")}
    assert named <= options_of(words.split()), name_of(guide)


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.pattern)
def test_a_test_that_stands_for_a_command_names_it(each: CommandClass) -> None:
    for file in re.findall(r"(tests/[\w/]+\.py) runs it", each.reason):
        command = each.pattern.split()[1]
        assert f'"{command}"' in (ROOT / file).read_text(encoding="utf-8"), file


def test_a_command_without_a_class_is_noticed(tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("```sh\nrm -rf /\n```\n", encoding="utf-8")
    assert [command.treatment for command in commands_of(guide)] == [Treatment.UNKNOWN]


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_a_block_without_a_language_holds_no_command(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    for language, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        assert language in {"", "sh", "toml", "json", "yaml", "ini"}
        assert language or all(line.startswith("{") for line in block.splitlines()), block
