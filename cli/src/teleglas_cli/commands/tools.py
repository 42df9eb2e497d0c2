"""`teleglas backtest` and `teleglas train`: the services' own commands under one name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from teleglas_cli.running import NotRunningError, Running

__all__ = ["backtest", "train"]

PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}
SOURCES = ("--kafka", "--candles", "--capture", "--help", "-h")
"""Who says one of these knows where the data is, or wants to."""


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def backtest(arguments: tuple[str, ...]) -> None:
    """Run the scorer's own engine over the past: `teleglas backtest --help`.

    Without a file it reads the topics of the running stack.
    """
    raise SystemExit(_call("teleglas_signal_scorer.backtest", (*_source(arguments), *arguments)))


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Train forecasting models: `teleglas train --help`."""
    raise SystemExit(_call("teleglas_prediction.train", arguments))


def _source(arguments: Sequence[str]) -> tuple[str, ...]:
    """The running stack's log, where no argument names another source."""
    named = any(argument.partition("=")[0] in SOURCES for argument in arguments)
    if named or any(Path(argument).exists() for argument in arguments):
        return ()
    try:
        return ("--kafka", Running.read().kafka_bootstrap)
    except NotRunningError:
        return ()


def _call(module: str, arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=dict(os.environ), check=False).returncode
