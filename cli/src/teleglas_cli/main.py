"""The `teleglas` command."""

from __future__ import annotations

import click

from teleglas_cli.commands.alerts import predictions, signals, whales
from teleglas_cli.commands.doctor import doctor
from teleglas_cli.commands.keys import keys
from teleglas_cli.commands.migrate import migrate
from teleglas_cli.commands.record import record
from teleglas_cli.commands.redrive import redrive
from teleglas_cli.commands.replay import replay
from teleglas_cli.commands.smoke import smoke
from teleglas_cli.commands.stream import stream
from teleglas_cli.commands.tools import backtest, train
from teleglas_cli.commands.topics import digest, tail, topics
from teleglas_cli.commands.up import up
from teleglas_cli.commands.why import why
from teleglas_cli.running import NotRunningError

__all__ = ["main"]


@click.group()
@click.version_option(package_name="teleglas-cli")
def commands() -> None:
    """Real-time crypto market intelligence that anyone can run."""


COMMANDS = (
    *(up, whales, signals, predictions, why, backtest, train),
    *(stream, tail, topics, digest, redrive, migrate, keys, doctor, smoke, record, replay),
)
for command in COMMANDS:
    commands.add_command(command)


def main() -> None:
    """Run the command line; a missing stack is one plain sentence."""
    try:
        commands()
    except NotRunningError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
