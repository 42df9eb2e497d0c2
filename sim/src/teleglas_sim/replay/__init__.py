"""Serve recorded frames in the venue's own protocol, and record them."""

from teleglas_sim.replay.pace import MAX_SPEED, parse_speed
from teleglas_sim.replay.records import CaptureError
from teleglas_sim.replay.service import Ports, Replay, ReplayOptions

__all__ = ["MAX_SPEED", "CaptureError", "Ports", "Replay", "ReplayOptions", "parse_speed"]
