"""Progress marks and joins at ticks."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.progress import ProgressTracker, Tick, TickJoin


@dataclass(frozen=True)
class FakeMark:
    source: str
    ts_event: int
    instruments: tuple[str, ...] = ("BTC-USDT",)
    writer_epoch: int = 1
    lease_ns: int = 1_000
    retired: bool = False
    venue: str = "binance"


marks = st.builds(
    FakeMark,
    source=st.sampled_from(["a", "b", "c"]),
    ts_event=st.integers(0, 300),
    instruments=st.lists(st.sampled_from(["X", "Y", "Z"]), max_size=3).map(tuple),
    writer_epoch=st.integers(1, 3),
    lease_ns=st.integers(0, 100),
    retired=st.booleans(),
    venue=st.sampled_from(["binance", "okx"]),
)
PAIRS = [(venue, instrument) for venue in ("binance", "okx") for instrument in "XYZ"]


def test_watermark_is_the_lowest_mark_of_the_sources() -> None:
    """Two sources that cover an instrument: the slower one decides."""
    tracker = ProgressTracker()
    assert tracker.watermark("binance", "BTC-USDT") is None
    assert tracker.observe(FakeMark("a", 50)) == [("binance", "BTC-USDT")]
    tracker.observe(FakeMark("b", 70, instruments=("BTC-USDT", "ETH-USDT")))
    tracker.observe(FakeMark("a", 90))
    assert tracker.watermark("binance", "BTC-USDT") == 70
    assert tracker.watermark("binance", "ETH-USDT") == 70
    assert tracker.watermark("okx", "BTC-USDT") is None


def test_mark_of_a_lower_epoch_is_void_and_a_newer_one_takes_over() -> None:
    """A fenced owner cannot promise for the source any more."""
    tracker = ProgressTracker()
    tracker.observe(FakeMark("a", 50, writer_epoch=2))
    assert tracker.observe(FakeMark("a", 90, writer_epoch=1)) == []
    assert tracker.watermark("binance", "BTC-USDT") == 50
    tracker.observe(FakeMark("a", 60, writer_epoch=3, instruments=("ETH-USDT",)))
    assert tracker.watermark("binance", "ETH-USDT") == 60
    assert tracker.watermark("binance", "BTC-USDT") == 50


def test_retired_source_does_not_hold_the_others_back() -> None:
    """A hand-over: the old source's last word frees the watermark; only a new epoch revives it."""
    tracker = ProgressTracker()
    tracker.observe(FakeMark("old", 50))
    tracker.observe(FakeMark("new", 80))
    assert tracker.watermark("binance", "BTC-USDT") == 50
    tracker.observe(FakeMark("old", 51, retired=True))
    assert tracker.watermark("binance", "BTC-USDT") == 80
    tracker.observe(FakeMark("old", 500))
    assert tracker.furthest == 80
    tracker.observe(FakeMark("old", 90, writer_epoch=2))
    tracker.observe(FakeMark("new", 100))
    assert tracker.watermark("binance", "BTC-USDT") == 90


def test_silent_source_is_gone_when_its_lease_is_over() -> None:
    """Others that move on by more than the lease go without it, also over other instruments."""
    tracker = ProgressTracker()
    tracker.observe(FakeMark("silent", 50, lease_ns=100))
    tracker.observe(FakeMark("other", 150))
    assert tracker.watermark("binance", "BTC-USDT") == 50
    moved = tracker.observe(FakeMark("third", 151, instruments=("ETH-USDT",)))
    assert moved == [("binance", "BTC-USDT"), ("binance", "ETH-USDT")]
    assert tracker.watermark("binance", "BTC-USDT") == 150


def test_protobuf_mark_is_taken_as_it_is() -> None:
    """The tracker knows no protobuf, yet takes the message."""
    tracker = ProgressTracker()
    tracker.observe(Progress(venue="okx", source="s", ts_event=7, instruments=["BTC-USDT"]))
    assert tracker.watermark("okx", "BTC-USDT") == 7


@given(st.lists(marks, max_size=40))
def test_watermark_never_goes_back_and_never_passes_a_live_source(taken: list[FakeMark]) -> None:
    """After every mark: no watermark fell; one that rose stands at its slowest live source."""
    tracker = ProgressTracker()
    newest: dict[str, FakeMark] = {}
    furthest = 0
    for mark in taken:
        before = {pair: tracker.watermark(*pair) for pair in PAIRS}
        moved = tracker.observe(mark)
        known = newest.get(mark.source)
        void = known and (
            mark.writer_epoch < known.writer_epoch
            or (known.retired and mark.writer_epoch == known.writer_epoch)
        )
        if not void:
            top = max(mark.ts_event, known.ts_event if known else 0)
            newest[mark.source] = replace(mark, ts_event=top)
            furthest = max(furthest, top)
        for venue, instrument in PAIRS:
            live = [
                m.ts_event
                for m in newest.values()
                if m.venue == venue
                and instrument in m.instruments
                and not m.retired
                and m.ts_event + m.lease_ns >= furthest
            ]
            held, now = before[venue, instrument], tracker.watermark(venue, instrument)
            candidates = ([min(live)] if live else []) + ([held] if held is not None else [])
            assert now == max(candidates, default=None)
            assert ((venue, instrument) in moved) == (now != held)


@given(st.lists(marks, max_size=30), st.integers(0, 30))
def test_restored_tracker_goes_on_as_the_first_would_have(taken: list[FakeMark], cut: int) -> None:
    """A snapshot at any point changes nothing that follows, and its bytes are reproducible."""
    whole, first = ProgressTracker(), ProgressTracker()
    for mark in taken:
        whole.observe(mark)
    for mark in taken[:cut]:
        first.observe(mark)
    second = ProgressTracker.restore(first.snapshot())
    for mark in taken[cut:]:
        second.observe(mark)
    assert second.snapshot() == whole.snapshot()


def test_ticks_wait_for_all_inputs() -> None:
    """A tick goes out once every input has passed it, and none is left out."""
    join = TickJoin(["books", "trades"], interval_ns=10, deadline_ns=100)
    join.observe("trades", 4)
    join.observe("trades", 35)
    assert join.release() == []
    join.observe("books", 20)
    assert join.release() == [Tick(10), Tick(20)]
    join.observe("books", 29)
    assert join.release() == []
    join.observe("books", 60)
    assert join.release() == [Tick(30)]


def test_tick_goes_without_an_input_after_the_deadline() -> None:
    """The others' event time decides how long is waited; the tick names who was missing."""
    join = TickJoin(["books", "news", "trades"], interval_ns=10, deadline_ns=25)
    join.observe("trades", 9)
    join.observe("books", 12)
    join.observe("trades", 34)
    assert join.release() == []
    join.observe("trades", 45)
    assert join.release() == [Tick(10, ("news",)), Tick(20, ("books", "news"))]


def test_release_is_bounded() -> None:
    """A jump of event time does not give a million ticks at once."""
    join = TickJoin(["a"], interval_ns=1, deadline_ns=0)
    join.observe("a", 0)
    join.observe("a", 10**9)
    assert [tick.ts_event for tick in join.release(3)] == [1, 2, 3]
    assert join.release(1) == [Tick(4)]


def test_unknown_input_is_refused_by_name() -> None:
    """A typing error is not a new input."""
    with pytest.raises(ValueError, match="expected one of"):
        TickJoin(["a"], interval_ns=1, deadline_ns=0).observe("b", 1)


steps = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 400)), max_size=40)


@given(steps, st.integers(1, 40), st.integers(0, 80))
def test_ticks_are_consecutive_and_never_early(
    taken: list[tuple[str, int]], interval: int, deadline: int
) -> None:
    """Whatever the inputs do: ticks follow each other, each is passed by all that are not missing,
    and who is missing is so only when another is past the deadline.
    """
    join = TickJoin(["a", "b", "c"], interval_ns=interval, deadline_ns=deadline)
    progress: dict[str, int] = {}
    released: list[Tick] = []
    for name, at in taken:
        join.observe(name, at)
        progress[name] = max(at, progress.get(name, at))
        for tick in join.release(10_000):
            behind = {n for n in "abc" if progress.get(n, -1) < tick.ts_event}
            assert set(tick.missing) == behind
            assert not behind or max(progress.values()) >= tick.ts_event + deadline
            released.append(tick)
    times = [tick.ts_event for tick in released]
    assert times == [times[0] + n * interval for n in range(len(times))] if times else True
    assert all(time % interval == 0 for time in times)


@given(steps, st.randoms(use_true_random=False), st.integers(1, 40), st.integers(0, 80))
def test_replay_with_receipts_gives_the_same_ticks_in_any_interleaving(
    taken: list[tuple[str, int]], random: object, interval: int, deadline: int
) -> None:
    """The inputs come in another order among themselves: the receipts decide what was missing."""
    first = TickJoin(["a", "b", "c"], interval_ns=interval, deadline_ns=deadline)
    receipts: list[Tick] = []
    for name, at in taken:
        first.observe(name, at)
        receipts += first.release(10_000)
    second = TickJoin(["a", "b", "c"], interval_ns=interval, deadline_ns=10**9, receipts=receipts)
    shuffled = list(taken)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    replayed: list[Tick] = []
    for name, at in shuffled:
        second.observe(name, at)
        replayed += second.release(10_000)
    assert replayed[: len(receipts)] == receipts


@given(steps, st.integers(0, 40))
def test_resumed_join_goes_on_as_the_first_would_have(
    taken: list[tuple[str, int]], cut: int
) -> None:
    """A snapshot at any point changes no tick that follows."""

    def run(join: TickJoin, part: list[tuple[str, int]]) -> list[Tick]:
        ticks: list[Tick] = []
        for name, at in part:
            join.observe(name, at)
            ticks += join.release(10_000)
        return ticks

    whole, first, second = (
        TickJoin(["a", "b", "c"], interval_ns=7, deadline_ns=20) for _ in range(3)
    )
    before = run(first, taken[:cut])
    second.resume(first.snapshot())
    assert before + run(second, taken[cut:]) == run(whole, taken)
    assert second.snapshot() == whole.snapshot()


def test_an_awaited_input_is_waited_for_past_the_deadline() -> None:
    """Known to be on its way: the tick goes out whole, later."""
    join = TickJoin(("books", "news"), interval_ns=10, deadline_ns=5)
    join.observe("books", 1)
    join.observe("books", 100)
    assert join.release(1, ("news",)) == []
    join.observe("news", 10)
    assert join.release(1, ("news",)) == [Tick(10)]
    assert join.release(1) == [Tick(20, ("news",))]


def test_ticks_that_are_left_out_never_come() -> None:
    """Behind a silence of years nobody wants each of its ticks."""
    join = TickJoin(("books",), interval_ns=10, deadline_ns=5)
    join.observe("books", 1)
    join.skip_to(1_001)
    join.skip_to(5)
    join.observe("books", 1_025)
    assert join.release() == [Tick(1_010), Tick(1_020)]
