"""Reads the files of the deployments in containers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
IMAGE_USER = 10001


def instructions() -> list[str]:
    """The instructions of the Dockerfile, each on one line, without comments."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]


def compose_services() -> dict[str, dict[str, Any]]:
    """The services of the compose file by name."""
    parsed = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return dict(parsed["services"])


def node_services() -> dict[str, dict[str, Any]]:
    """The services that run the node."""
    return {
        name: service
        for name, service in compose_services().items()
        if service.get("image", "").startswith("segnode")
    }


def kubernetes_objects() -> Iterator[dict[str, Any]]:
    """The objects of the base."""
    for file in sorted((KUBERNETES / "base").glob("*.yaml")):
        yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))


def deployments() -> dict[str, dict[str, Any]]:
    """The pod specification of each Deployment by its role."""
    return {
        each["spec"]["selector"]["matchLabels"]["segnode/role"]: each["spec"]["template"]["spec"]
        for each in kubernetes_objects()
        if each["kind"] == "Deployment"
    }
