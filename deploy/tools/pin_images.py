"""Adds to each base image in deploy/ the digest that its registry names now (`make digests`).

It needs Docker with buildx, and access to the registries.
"""

import re
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).parents[1]
# Registry, path and tag; the digest, if there is one.
IMAGE = re.compile(r"\b((?:docker|quay)\.io/[\w./-]+:[\w.-]+)(?:@sha256:[0-9a-f]{64})?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def files() -> list[Path]:
    """The files that name images."""
    return [DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", *DEPLOY.glob("kubernetes/**/*.yaml")]


def digest_of(image: str) -> str:
    """The digest of the image for all platforms."""
    command = [
        "docker",
        "buildx",
        "imagetools",
        "inspect",
        "--format",
        "{{.Manifest.Digest}}",
        image,
    ]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = run.stdout.strip()
    if DIGEST.fullmatch(found) is None:
        raise SystemExit(f"docker names no digest of {image}: {found!r}")
    return found


def main() -> None:
    """Asks once for each image, and writes only when every answer is there."""
    texts = {file: file.read_text(encoding="utf-8") for file in files()}
    images = sorted({image for text in texts.values() for image in IMAGE.findall(text)})
    digests = {image: digest_of(image) for image in images}
    for file, text in texts.items():
        pinned = IMAGE.sub(lambda found: f"{found[1]}@{digests[found[1]]}", text)
        file.write_text(pinned, encoding="utf-8")


if __name__ == "__main__":
    main()
