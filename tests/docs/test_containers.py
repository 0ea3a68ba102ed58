"""Dockerfile, compose file and Kubernetes files are hardened and agree with the code."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from node.processes.role_process import Role
from node.settings import Settings, load_settings
from node.settings.credentials.secret_source import CONTAINER_SECRETS
from node.settings.credentials.tables import secret_sources
from tests.support.deployment_files import (
    DEPLOY,
    IMAGE_USER,
    KUBERNETES,
    ROOT,
    compose_services,
    deployments,
    instructions,
    kubernetes_objects,
    node_services,
)
from tests.support.whole_command_line import app

EXAMPLE = KUBERNETES / "example"


def roles_of(command: list[str]) -> list[str]:
    """The roles that a command names; none stands for all."""
    return [command[at + 1] for at, word in enumerate(command) if word == "--role"]


def assert_is_health_check(command: list[str], roles: list[str]) -> None:
    """The command is `segnode health`, knows its options, and checks exactly the roles."""
    assert command[:2] == ["segnode", "health"]
    assert roles_of(command) == roles
    unknown = CliRunner().invoke(app, [*command[1:], "--help"]).exit_code
    assert unknown == 0


def configuration_of(service: dict[str, Any]) -> Path:
    """The file that the service has as its configuration."""
    (source,) = [
        each.split(":")[0] for each in service["volumes"] if "/etc/segnode/segnode.toml" in each
    ]
    return DEPLOY / str(source)


def variables_of(service: dict[str, Any]) -> dict[str, str]:
    """The environment of a service of the compose file."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def test_the_image_runs_as_a_user_with_a_number_and_has_a_health_check() -> None:
    image = "\n".join(instructions()).split(" AS segnode")[1].split("\nFROM ")[0]
    assert f"\nUSER {IMAGE_USER}\n" in image
    assert f"--uid {IMAGE_USER} " in image
    check = re.search(r'HEALTHCHECK .*CMD \["(.*)"\]', image)
    assert check is not None
    assert_is_health_check(check[1].split('", "'), [])


def test_the_image_exposes_the_ports_of_the_node() -> None:
    settings = Settings()
    ports = f"EXPOSE {settings.web.port} {settings.listener.port}"
    assert ports in instructions()


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    copied = [
        source
        for line in instructions()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied
    assert not [source for source in copied if not (ROOT / source).exists()]
    assert not [source for source in copied if f"!{source}" not in kept]
    assert "*" in kept, "everything else is ignored"


def test_every_base_image_has_an_exact_tag() -> None:
    images = [line.split("=", 1)[1] for line in instructions() if re.match(r"ARG \w+_IMAGE=", line)]
    images += [
        service["image"]
        for service in compose_services().values()
        if not service.get("image", "segnode").startswith("segnode")
    ]
    assert len(images) >= 5
    exact = re.compile(r"(docker|quay)\.io/[\w./-]+:\S*\d+\.?\d*\S*(@sha256:[0-9a-f]{64})?")
    assert not [image for image in images if not exact.fullmatch(image)]


@pytest.mark.parametrize("name", node_services())
def test_a_service_runs_roles_that_exist_and_checks_their_health(name: str) -> None:
    service = node_services()[name]
    roles = roles_of(service.get("command", [])) or [role.value for role in Role]
    assert set(roles) <= set(Role)
    check = service["healthcheck"]["test"]
    assert check[0] == "CMD"
    checked = sorted(roles_of(check[1:]))
    assert checked == sorted(roles)
    assert_is_health_check(check[1:], roles_of(check[1:]))


@pytest.mark.parametrize("name", [*node_services(), "orthanc", "proxy"])
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = compose_services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]


@pytest.mark.parametrize("name", node_services())
def test_the_configuration_of_a_service_has_no_mistakes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine that runs the tests may have no GPU.
    monkeypatch.setattr("node.cli.configuration.host_mistakes.device_mistakes", lambda _: ())
    service = node_services()[name]
    for variable, value in variables_of(service).items():
        monkeypatch.setenv(variable, value)
    checked = CliRunner().invoke(app, ["check", "--config", str(configuration_of(service))])
    assert checked.exit_code == 0, checked.output
    assert "no mistakes" in checked.output


@pytest.mark.parametrize("name", node_services())
def test_a_service_publishes_ports_of_its_configuration(name: str) -> None:
    service = node_services()[name]
    settings = load_settings(configuration_of(service))
    proxy = 8443
    ports = {int(port.split(":")[-1]) for port in service.get("ports", [])}
    assert ports <= {settings.listener.port, settings.web.port, proxy}


def test_the_example_for_kubernetes_has_no_mistakes() -> None:
    checked = CliRunner().invoke(app, ["check", "--config", str(EXAMPLE / "segnode.toml")])
    assert checked.exit_code == 0, checked.output


def test_every_variable_of_the_node_is_a_setting() -> None:
    variables = [name for service in node_services().values() for name in variables_of(service)]
    variables += [
        each["name"] for pod in deployments().values() for each in pod["containers"][0]["env"]
    ]
    gpu = (KUBERNETES / "components/gpu/kustomization.yaml").read_text(encoding="utf-8")
    variables += re.findall(r"name: (SEGNODE_\w+)", gpu)
    ours = {name for name in variables if name.startswith("SEGNODE_")}
    assert ours
    for name in ours:
        model: Any = Settings()
        for part in name.removeprefix("SEGNODE_").lower().split("__"):
            assert part in type(model).model_fields
            model = getattr(model, part)


@pytest.mark.parametrize("name", node_services())
def test_a_service_gets_the_secrets_that_its_configuration_names(name: str) -> None:
    service = node_services()[name]
    named = {source.file for _, source in secret_sources(load_settings(configuration_of(service)))}
    assert named == set(service.get("secrets", []))
    files = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["secrets"]
    assert named <= set(files)


@pytest.mark.parametrize("role", Role)
def test_a_pod_has_the_secrets_where_the_names_of_the_configuration_find_them(role: Role) -> None:
    sources = [source for _, source in secret_sources(load_settings(EXAMPLE / "segnode.toml"))]
    assert [source.file for source in sources] == ["database-password"]
    pod = deployments()[role]
    (volume,) = [
        each["name"]
        for each in pod["volumes"]
        if each.get("secret", {}).get("secretName") == "segnode"
    ]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts[volume] == str(CONTAINER_SECRETS)
    readme = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    assert "--from-file database-password" in readme


def test_kubernetes_has_a_deployment_for_each_role() -> None:
    assert set(deployments()) == set(Role)


@pytest.mark.parametrize("role", Role)
def test_a_pod_runs_its_role_and_probes_its_health(role: Role) -> None:
    container = deployments()[role]["containers"][0]
    assert container["args"] == ["serve", "--role", role]
    for probe in ("startupProbe", "livenessProbe"):
        assert_is_health_check(container[probe]["exec"]["command"], [role])


@pytest.mark.parametrize("role", Role)
def test_a_pod_has_no_rights_that_it_does_not_need(role: Role) -> None:
    pod = deployments()[role]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == IMAGE_USER
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]


def test_ports_and_disruption_budgets_of_kubernetes_fit() -> None:
    settings = load_settings(EXAMPLE / "segnode.toml")
    (listener,) = deployments()[Role.LISTENER]["containers"]
    assert listener["ports"][0]["containerPort"] == settings.listener.port
    proxy = (EXAMPLE / "nginx.conf").read_text(encoding="utf-8")
    assert f"http://{settings.web.host}:{settings.web.port};" in proxy
    assert (
        f"listen {deployments()[Role.WEB]['containers'][1]['ports'][0]['containerPort']} " in proxy
    )
    budgets = [
        each["spec"]["selector"]["matchLabels"]["segnode/role"]
        for each in kubernetes_objects()
        if each["kind"] == "PodDisruptionBudget"
    ]
    assert sorted(budgets) == sorted(Role)


def test_compose_and_kubernetes_have_the_same_proxy() -> None:
    assert (EXAMPLE / "nginx.conf").read_bytes() == (DEPLOY / "compose/nginx.conf").read_bytes()


def test_autoscaling_queries_metrics_that_exist() -> None:
    file = KUBERNETES / "components/autoscaling/scaled-object.yaml"
    (trigger,) = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]["triggers"]
    used = set(re.findall(r"segnode_\w+", trigger["metadata"]["query"]))
    # Another test compares this table with the code.
    guide = (DEPLOY / "monitoring.md").read_text(encoding="utf-8")
    assert used
    assert not [name for name in used if f"| `{name}` |" not in guide]


@pytest.fixture
def copy_of_deploy(tmp_path: Path) -> Path:
    """The folder deploy/ to change, and a `docker` that knows one digest for every image."""
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("pictures"))
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "${{DIGEST-sha256:{"ab" * 32}}}"\n', encoding="utf-8")
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def pin_images(folder: Path, **environment: str) -> int:
    """Runs `make digests` over the copy; returns the exit status."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    command = [sys.executable, str(folder / "deploy/tools/pin_images.py")]
    run = subprocess.run(
        command, env={**environment, "PATH": path}, capture_output=True, check=False
    )
    return run.returncode


def test_make_digests_pins_every_image_and_may_be_repeated(copy_of_deploy: Path) -> None:
    files = [copy_of_deploy / "deploy" / name for name in ("Dockerfile", "compose.yaml")]
    assert pin_images(copy_of_deploy) == 0
    pinned = [file.read_text(encoding="utf-8") for file in files]
    assert all(f"@sha256:{'ab' * 32}" in text for text in pinned)
    assert not re.search(r"(docker|quay)\.io/[\w./-]+:[\w.-]+\s", "".join(pinned))
    assert pin_images(copy_of_deploy) == 0
    assert [file.read_text(encoding="utf-8") for file in files] == pinned


def test_make_digests_changes_nothing_without_a_digest(copy_of_deploy: Path) -> None:
    assert pin_images(copy_of_deploy, DIGEST="") == 1
    changed = copy_of_deploy / "deploy" / "Dockerfile"
    assert changed.read_bytes() == (DEPLOY / "Dockerfile").read_bytes()
