"""Shared entry point of the node's processes: options, settings, logs and exit status."""

import argparse
import gc
from collections.abc import Callable
from pathlib import Path

import structlog

from node.domain.errors import Misconfigured, NodeError
from node.log import configure_logging
from node.settings import Settings, load_settings

_LOG = structlog.get_logger()
# Exit status of a process whose configuration is wrong: a restart does not help.
MISCONFIGURED_STATUS = 2


def run_process(
    name: str,
    module: str,
    description: str | None,
    run: Callable[[Settings], None],
    arguments: list[str] | None = None,
) -> int:
    """Runs one process of the node with the settings of its `--config`; returns the exit status.

    `name` is the prefix of the log events; `arguments` are those of the command line if None.
    """
    gc.freeze()  # what the imports created stays
    gc.enable()
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--config", type=Path, help="the configuration (TOML)")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.config)
        configure_logging(settings.log_level)
        run(settings)
    except Misconfigured as error:
        _LOG.error(f"{name}.misconfigured", error=str(error))
        return MISCONFIGURED_STATUS
    except NodeError as error:
        _LOG.error(f"{name}.failed", error=str(error))
        return 1
    return 0
