"""`segnode reload`: the running node reads its configuration again."""

import typer

from node.cli.options import ConfigOption
from node.domain.errors import Transient


def reload(config: ConfigOption = None) -> None:
    """Have the running node of this host read its configuration again, without a restart.

    Mistakes in the file are reported, and change nothing.

    Example: segnode reload --config /etc/segnode/segnode.toml
    """
    import os
    import signal

    from node.configuration.site_configuration import host_settings
    from node.runtime.supervisor_file import running_supervisors

    settings = host_settings(config)
    supervisors = running_supervisors(settings.data_dir)
    if not supervisors:
        raise Transient(f"no node runs on this host over {settings.data_dir}: start it instead")
    for process in supervisors:
        os.kill(process, signal.SIGHUP)
    typer.echo("The node reads its configuration again. Its log says when each process uses it.")
