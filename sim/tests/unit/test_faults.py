import pytest

from teleglas_sim.server import Fault, FaultBoard, FaultKind, Frame, StreamHub
from teleglas_sim.server.feed import wire_text


class Ears:
    closed = False

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def send(self, frame: Frame) -> None:
        self.heard.append(frame.payload)

    async def drain(self) -> None:
        return None


class Bench:
    """A hub with one listener on two streams, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.board = FaultBoard(lambda: self.now_s)
        self.hub = StreamHub(self.board)
        self.ears = Ears()
        for stream in ("a@trade", "b@trade"):
            self.hub.add(stream, self.ears)

    def send(self, first: int, last: int, stream: str = "a@trade") -> list[bytes]:
        start = len(self.ears.heard)
        for number in range(first, last + 1):
            self.hub.publish(stream, b"%d" % number)
        return self.ears.heard[start:]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_drop_loses_the_counted_frames_of_matching_streams(bench: Bench) -> None:
    """Two frames of `a` are lost, none of `b`, and then the fault is over."""
    bench.board.add(Fault(FaultKind.DROP, "a@*", count=2))
    assert bench.send(1, 4) == [b"3", b"4"]
    assert bench.send(5, 5, "b@trade") == [b"5"]
    assert bench.board.quiet


def test_drop_every_third_hits_only_those(bench: Bench) -> None:
    """`every` counts matching frames."""
    bench.board.add(Fault(FaultKind.DROP, "a@*", count=2, every=3))
    assert bench.send(1, 8) == [b"1", b"2", b"4", b"5", b"7", b"8"]


def test_repeat_sends_twice(bench: Bench) -> None:
    """The same bytes come two times."""
    bench.board.add(Fault(FaultKind.REPEAT, count=1))
    assert bench.send(1, 2) == [b"1", b"1", b"2"]


def test_reorder_swaps_neighbours_of_one_stream(bench: Bench) -> None:
    """A frame comes after its follower; the other stream is not the follower."""
    bench.board.add(Fault(FaultKind.REORDER, count=1))
    assert bench.send(1, 1) == []
    assert bench.send(9, 9, "b@trade") == [b"9"]
    assert bench.send(2, 3) == [b"2", b"1", b"3"]


def test_stall_holds_back_and_lets_out_in_order(bench: Bench) -> None:
    """Nothing comes for two seconds, then everything, in order."""
    bench.board.add(Fault(FaultKind.STALL, "a@*", duration_s=2.0))
    assert bench.send(1, 3) == []
    bench.now_s = 1.9
    bench.hub.release()
    assert bench.ears.heard == []
    bench.now_s = 2.0
    bench.hub.release()
    assert bench.ears.heard == [b"1", b"2", b"3"]
    assert bench.send(4, 4) == [b"4"]


def test_a_frame_after_a_stall_never_overtakes_the_held_ones(bench: Bench) -> None:
    """Even when nobody asked for the held frames before."""
    bench.board.add(Fault(FaultKind.STALL, "a@*", duration_s=1.0))
    bench.send(1, 2)
    bench.now_s = 5.0
    assert bench.send(3, 3) == [b"1", b"2", b"3"]


def test_checksum_is_spoiled_and_never_zero(bench: Bench) -> None:
    """Only the checksum changes; a payload without one passes."""
    bench.board.add(Fault(FaultKind.CHECKSUM, count=2))
    bench.hub.publish("a@trade", b'{"ts":"1","checksum":-77,"seqId":5}')
    bench.hub.publish("a@trade", b'{"x":1}')
    spoiled, plain = bench.ears.heard
    assert spoiled.startswith(b'{"ts":"1","checksum":')
    assert spoiled.endswith(b',"seqId":5}')
    assert b":-77," not in spoiled
    assert b":0," not in spoiled
    assert plain == b'{"x":1}'


def test_a_garbled_frame_is_cut_in_half(bench: Bench) -> None:
    """What is left of it is no JSON; the next one is whole."""
    bench.board.add(Fault(FaultKind.GARBLE, count=1))
    bench.hub.publish("a@trade", b'{"price":1}')
    bench.hub.publish("a@trade", b'{"price":2}')
    assert bench.ears.heard == [b'{"pri', b'{"price":2}']


def test_duration_ends_a_fault(bench: Bench) -> None:
    """After its time a fault does nothing."""
    bench.board.add(Fault(FaultKind.DROP, duration_s=1.0))
    assert bench.send(1, 2) == []
    bench.now_s = 1.0
    assert bench.send(3, 3) == [b"3"]


def test_silence_and_rest_faults_count_their_hits(bench: Bench) -> None:
    """Subscriptions and REST calls are struck by their own kinds only."""
    bench.board.add(Fault(FaultKind.SILENCE, "a@*", count=1))
    bench.board.add(Fault(FaultKind.REST, "/api/*", count=1, status=429))
    assert bench.send(1, 1) == [b"1"]
    assert not bench.board.silences("b@trade")
    assert bench.board.silences("a@trade")
    assert not bench.board.silences("a@trade")
    assert bench.board.rest_fault("/fapi/x") is None
    fault = bench.board.rest_fault("/api/x")
    assert fault is not None
    assert fault.status == 429
    assert bench.board.rest_fault("/api/x") is None


def test_clear_lifts_everything(bench: Bench) -> None:
    """Held frames come out and nothing is in force."""
    bench.board.add(Fault(FaultKind.STALL, duration_s=60.0))
    bench.send(1, 1)
    bench.board.clear()
    bench.hub.release()
    assert bench.ears.heard == [b"1"]
    assert bench.board.quiet


@pytest.mark.parametrize(
    "wrong",
    [{"kind": FaultKind.DROP}, {"kind": FaultKind.STALL, "count": 3}, {"kind": "drop", "count": 0}],
)
def test_a_fault_without_bounds_is_refused(wrong: dict[str, object]) -> None:
    """Every fault ends by itself."""
    with pytest.raises(ValueError, match="expected"):
        Fault(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_wire_text_has_the_lengths_of_rfc_6455(size: int) -> None:
    """Short, 16-bit and 64-bit lengths."""
    wire = wire_text(b"x" * size)
    assert wire[0] == 0x81
    head = {True: 2, False: 4 if size < 65_536 else 10}[size < 126]
    assert len(wire) == head + size
    if size >= 126:
        assert int.from_bytes(wire[2:head], "big") == size
