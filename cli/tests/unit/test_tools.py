"""`teleglas backtest` and `teleglas train` hand on what they are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from teleglas_cli.main import commands
from teleglas_cli.running import Running

PROGRAM = "import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(int('--fail' in sys.argv))"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs in the services' places that print their arguments; nothing runs yet."""
    for package, module in (
        ("teleglas_signal_scorer", "backtest"),
        ("teleglas_prediction", "train"),
    ):
        folder = tmp_path / "programs" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / f"{module}.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "programs"))
    monkeypatch.setenv("TELEGLAS_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    return tmp_path


def run_stack(folder: Path) -> None:
    Running(
        *(os.getpid(), "127.0.0.1:9092", "postgresql://x", "redis://x", "http://x", "x:1", "none")
    ).write(folder / "state")


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(commands, arguments)
    return done.exit_code, capfd.readouterr().out.strip()


@pytest.mark.usefixtures("programs")
def test_train_hands_on_every_argument_and_the_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Options that are not ours, --help among them."""
    assert run(capfd, "train", "--out", "x", "--help") == (0, '["--out", "x", "--help"]')
    assert run(capfd, "train", "--fail") == (1, '["--fail"]')


def test_backtest_reads_the_running_stack_unless_told_otherwise(
    programs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file or a source of the user's own comes first; without a stack nothing is added."""
    assert run(capfd, "backtest", "--cost", "5") == (0, '["--cost", "5"]')
    run_stack(programs)
    added = '["--kafka", "127.0.0.1:9092", "--cost", "5"]'
    assert run(capfd, "backtest", "--cost", "5") == (0, added)
    (programs / "candles.csv").touch()
    assert run(capfd, "backtest", "candles.csv") == (0, '["candles.csv"]')
    assert run(capfd, "backtest", "--kafka=other:1") == (0, '["--kafka=other:1"]')
    assert run(capfd, "backtest", "--help") == (0, '["--help"]')


def test_backtest_refuses_a_capture_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    code, _ = run(capfd, "backtest", "--capture", "none.gz")
    assert code == 2
