"""Programs of npm packages that tests use; npm installs them once, as the lock file names them."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parent / "npm"
_CACHE = Path(__file__).resolve().parents[2] / ".npm-tools"
_INSTALL_SECONDS = 300


def npm_tool(script: str) -> list[str]:
    """Returns the command that runs a script of `tests/support/npm`; skips without npm."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed; it installs HL7 and FHIR tools: apt install npm")
    lock = (_SOURCE / "package-lock.json").read_bytes()
    folder = _CACHE / hashlib.sha256(lock).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "install.lock").open("wb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # tests in other processes may install at the same time
        installed = folder / "installed"
        if not installed.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_SOURCE / name, folder)
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=_INSTALL_SECONDS,
            )
            installed.touch()
    # The script must lie beside the packages that it requires.
    shutil.copy(_SOURCE / script, folder)
    return [node, str(folder / script)]
