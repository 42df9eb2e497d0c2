from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleglas.market.v1 import gap_pb2, liquidation_pb2, trade_pb2, types_pb2
from teleglas.market.v1 import instrument_pb2 as ref
from teleglas_ingest.adapters.rest import WeightBudget
from teleglas_ingest.domain import events, instrument
from teleglas_ingest.domain.backoff import Backoff
from teleglas_ingest.domain.batcher import TradeBatcher
from teleglas_ingest.domain.events import Trade
from teleglas_ingest.domain.silence import SilenceDetector
from teleglas_ingest.testing import inverse_swap, linear_swap, spot

MARKET = spot()


def trade(sequence: int) -> Trade:
    return Trade(MARKET, sequence, 1, 1, 1, sequence, 0)


def test_a_batch_is_given_out_when_full_or_old() -> None:
    """At most so many trades, at most so long."""
    batcher = TradeBatcher(max_trades=3, max_age_ns=20)
    assert batcher.add(trade(1), 100) is None
    assert batcher.due(119) is None
    assert [t.sequence for t in batcher.due(120) or []] == [1]
    assert batcher.due(500) is None
    assert [batcher.add(trade(n), 200) is None for n in (2, 3)] == [True, True]
    assert [t.sequence for t in batcher.add(trade(4), 200) or []] == [2, 3, 4]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 5))
def test_batches_hold_every_trade_once_in_order(gaps: list[int], most: int) -> None:
    """Where a batch begins and ends changes nothing but the borders."""
    batcher = TradeBatcher(max_trades=most, max_age_ns=20)
    now, out = 0, []
    for number, gap in enumerate(gaps):
        now += gap
        out += batcher.due(now) or []
        out += batcher.add(trade(number), now) or []
    out += batcher.take() or []
    assert [t.sequence for t in out] == list(range(len(gaps)))


def test_backoff_grows_to_its_cap_and_starts_again_after_success() -> None:
    """Waits are jittered below a doubling cap."""
    backoff = Backoff(Random(1), first_s=1.0, most_s=8.0)
    waits = [backoff.failed() for _ in range(6)]
    assert all(0.1 * cap <= w <= cap for w, cap in zip(waits, (1, 2, 4, 8, 8, 8), strict=True))
    backoff.succeeded()
    assert backoff.failed() <= 1.0


def test_silence_names_a_stream_that_never_spoke_and_one_that_stopped() -> None:
    """An acknowledgement proves nothing; only data does."""
    detector = SilenceDetector({"a": 10, "b": 10})
    detector.subscribed("a", 0)
    detector.subscribed("b", 0)
    detector.subscribed("rare", 0)
    detector.heard("b", 5)
    found = {s.stream: s.never_spoke for s in detector.overdue(11)}
    assert found == {"a": True}
    found = {s.stream: s.never_spoke for s in detector.overdue(16)}
    assert found == {"b": False}
    assert detector.overdue(17) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (events.Side, types_pb2.Side, "SIDE"),
        (events.Basis, types_pb2.TimeBasis, "TIME_BASIS"),
        (events.Channel, types_pb2.Channel, "CHANNEL"),
        (events.TradeKind, trade_pb2.TradeKind, "TRADE_KIND"),
        (events.Print, trade_pb2.PrintKind, "PRINT_KIND"),
        (events.Coverage, liquidation_pb2.Coverage, "COVERAGE"),
        (events.GapCause, gap_pb2.GapCause, "GAP_CAUSE"),
        (events.GapResolution, gap_pb2.GapResolution, "GAP_RESOLUTION"),
        (instrument.Kind, ref.InstrumentKind, "INSTRUMENT_KIND"),
        (instrument.Status, ref.InstrumentStatus, "INSTRUMENT_STATUS"),
    ],
)
def test_the_domains_numbers_are_those_of_the_contracts(ours, theirs, prefix) -> None:
    """The domain knows no protobuf, so a test holds its enums to the contracts' values."""
    for member in ours:
        assert theirs.Value(f"{prefix}_{member.name}") == member.value


def test_contracts_become_base_quantity() -> None:
    """1.5 contracts of 0.01 are 0.015; 3 contracts of 100 USD at 60,000 are 0.005."""
    assert linear_swap().base_size(150, 600_000) == 150
    assert inverse_swap().base_size(3, 600_000) == 500_000
    assert inverse_swap().base_size(1, 300_000) == 333_333


def test_the_weight_budget_spaces_requests_out() -> None:
    """A spent weight comes back after the window; a pause holds everyone."""
    now = [0]
    budget = WeightBudget(10, 1.0, lambda: now[0])
    assert budget._wait_ns(10) == 0
    budget._spent.append((0, 8))
    assert budget._wait_ns(2) == 0
    assert budget._wait_ns(3) == 1_000_000_000
    now[0] = 1_000_000_001
    assert budget._wait_ns(3) == 0
    budget.pause(5.0)
    assert budget._wait_ns(1) == 5_000_000_000
