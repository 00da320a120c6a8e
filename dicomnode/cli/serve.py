"""`dicomnode serve`: run the node until it is stopped."""

from __future__ import annotations

import sys

import typer

from dicomnode.cli.options import ConfigOption, config_path

EPILOG = (
    "EXIT STATUS: 0 stopped by SIGTERM or SIGINT, 10 the configuration is wrong or the port is taken "
    "(systemd does not restart on it), 11 the store or journal failed."
)


def serve(config: ConfigOption = None) -> int:
    """Run the node: receive, analyse, deliver, until SIGTERM or Ctrl-C."""
    from dicomnode.serve import Notifier, Supervisor, set_up_logging
    from dicomnode.settings import load_settings

    path = config_path(config).absolute()
    settings = load_settings(path)
    set_up_logging(settings.log, sys.stderr)
    return Supervisor(settings, path, notifier=Notifier()).run()


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(serve)
