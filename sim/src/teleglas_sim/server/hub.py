"""Fan-out of frames to the sinks of a stream, with the faults in between."""

from collections.abc import Collection

from teleglas_sim.server.faults import FaultBoard
from teleglas_sim.server.feed import Frame, FrameSink

__all__ = ["StreamHub"]


class StreamHub:
    """Which sinks follow which stream. A feed owns one and publishes through it."""

    def __init__(self, faults: FaultBoard) -> None:
        self._faults = faults
        self._sinks: dict[str, dict[FrameSink, None]] = {}

    def add(self, stream: str, sink: FrameSink) -> None:
        """Send `stream` to `sink` from now on; a second call changes nothing."""
        self._sinks.setdefault(stream, {})[sink] = None

    def remove(self, stream: str, sink: FrameSink) -> None:
        """Stop sending; unknown pairs are no error."""
        sinks = self._sinks.get(stream)
        if sinks is None:
            return
        sinks.pop(sink, None)
        if not sinks:
            del self._sinks[stream]

    def wanted(self, stream: str) -> bool:
        """True when somebody listens: feeds skip the encoding of what nobody wants."""
        return stream in self._sinks

    def sinks(self, stream: str) -> Collection[FrameSink]:
        """Those who follow `stream`."""
        return self._sinks.get(stream, {}).keys()

    def publish(self, stream: str, payload: bytes) -> None:
        """Encode once and hand the frame to every sink of the stream."""
        if not self._faults.quiet:
            for name, data in self._faults.apply(stream, payload):
                self._deliver(name, data)
            return
        self._deliver(stream, payload)

    def release(self) -> None:
        """Let out frames whose stall is over; feeds call it at least once per tick."""
        if not self._faults.quiet:
            for name, data in self._faults.due():
                self._deliver(name, data)

    def _deliver(self, stream: str, payload: bytes) -> None:
        sinks = self._sinks.get(stream)
        if sinks is None:
            return
        frame = Frame(stream, payload)
        for sink in tuple(sinks) if len(sinks) > 1 else list(sinks):
            sink.send(frame)
