"""Venue servers: real WebSocket and REST in the venues' own protocols, over the `Feed` port."""

from teleglas_sim.server.binance_spot import SPOT_LIMITS, BinanceSpotServer
from teleglas_sim.server.binance_usdm import USDM_LIMITS, BinanceUsdmServer
from teleglas_sim.server.faults import Fault, FaultBoard, FaultKind
from teleglas_sim.server.feed import Feed, Frame, FrameSink, RestAnswer
from teleglas_sim.server.hub import StreamHub
from teleglas_sim.server.limits import Limits
from teleglas_sim.server.okx import OKX_LIMITS, OkxServer
from teleglas_sim.server.venue import VenueServer

__all__ = [
    "OKX_LIMITS",
    "SPOT_LIMITS",
    "USDM_LIMITS",
    "BinanceSpotServer",
    "BinanceUsdmServer",
    "Fault",
    "FaultBoard",
    "FaultKind",
    "Feed",
    "Frame",
    "FrameSink",
    "Limits",
    "OkxServer",
    "RestAnswer",
    "StreamHub",
    "VenueServer",
]
