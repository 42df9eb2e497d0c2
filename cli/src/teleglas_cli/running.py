"""Where the running local stack is: a small file that `teleglas up` writes and others read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["NotRunningError", "Running", "state_dir"]


class NotRunningError(Exception):
    """No stack is running, as far as this user's state tells."""


def state_dir() -> Path:
    """The folder of the local stack's data, logs and addresses."""
    chosen = os.environ.get("TELEGLAS_STATE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "teleglas"


@dataclass(frozen=True, slots=True)
class Running:
    """Addresses of one running stack. `services` maps a service to its health and metrics URL,
    `grpc` to its gRPC; `chat_url` is the local chat that alerts go to, empty if there is none.
    """

    pid: int
    kafka_bootstrap: str
    postgres_dsn: str
    redis_url: str
    gateway_url: str
    market_data_grpc: str
    demo_key_file: str
    services: dict[str, str] = field(default_factory=dict)
    venues: dict[str, str] = field(default_factory=dict)
    grpc: dict[str, str] = field(default_factory=dict)
    chat_url: str = ""

    def write(self, folder: Path) -> None:
        """Replace the file in one step, readable by this user only."""
        path = folder / "running.json"
        scratch = path.with_suffix(".new")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n")
        scratch.replace(path)

    @classmethod
    def read(cls, folder: Path | None = None) -> Running:
        """The stack that runs now; NotRunningError says what to do if none does."""
        path = (folder or state_dir()) / "running.json"
        try:
            found = cls(**json.loads(path.read_text()))
            os.kill(found.pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            raise NotRunningError(
                f"no running stack found at {path}; start one with `make up`"
            ) from None
        except (ValueError, TypeError) as error:
            raise NotRunningError(f"{path} is damaged ({error}); start the stack again") from None
        return found

    @property
    def demo_key(self) -> str:
        """The demo API key, kept in a file of its own."""
        return Path(self.demo_key_file).read_text().strip()
