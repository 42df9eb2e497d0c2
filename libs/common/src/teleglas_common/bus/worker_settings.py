"""The bounds that a worker keeps."""

from __future__ import annotations

from dataclasses import dataclass

from teleglas_common.bus.encode import MAX_RECORD_BYTES

__all__ = ["WorkerSettings"]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Defaults suit a service that handles thousands of records a second."""

    max_poll_records: int = 1_000
    poll_timeout_s: float = 0.5
    max_inbox_records: int = 2_000
    """Waiting records of one partition at which it is paused."""
    max_inbox_bytes: int = 2 << 20
    max_record_bytes: int = MAX_RECORD_BYTES
    turn_records: int = 128
    """Records of one topic before it is the next one's turn."""
    checkpoint_interval_s: float = 1.0
    checkpoint_records: int = 20_000
    patient_interval_s: float = 5.0
    """Instead of `checkpoint_interval_s` while what a shard holds may wait."""
    patient_records: int = 2_000
    retries: int = 8
    """Restores in a row, without a checkpoint between, before the worker gives up."""
    retry_initial_s: float = 0.2
    retry_max_s: float = 10.0
    outage_limit_s: float = 120.0
    """How long failures of the log itself are retried, however many they are."""
    stuck_after_s: float = 60.0
    """One record, checkpoint or restore that takes longer stops the worker. Waiting for the log to
    acknowledge is not counted: the publisher has a time-out of its own.
    """
    drain_timeout_s: float = 15.0
    """For finishing the turn and the checkpoint when a partition goes or the worker stops."""
    lag_interval_s: float = 5.0

    def backoff_s(self, failures: int, jitter: float) -> float:
        """Wait before restore number `failures`; `jitter` is in [0, 1)."""
        full = min(self.retry_max_s, self.retry_initial_s * 2.0 ** (failures - 1))
        return full * (0.5 + jitter / 2)
