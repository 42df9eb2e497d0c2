"""The services' own commands under one name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import click

__all__ = ["PASS_ON", "hand_on", "train"]

PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Train forecasting models: `teleglas train --help`."""
    raise SystemExit(hand_on("teleglas_prediction.train", arguments))


def hand_on(module: str, arguments: Sequence[str]) -> int:
    """Run a module with these arguments; its exit code."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=dict(os.environ), check=False).returncode
