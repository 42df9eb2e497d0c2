from teleglas_ingest.domain.progress import MarkCadence, Promise, SourceClock, VenueClock


def test_a_mark_stays_behind_the_newest_event_and_never_goes_back() -> None:
    """The promise grows with event time and keeps its slack."""
    clock, promise = SourceClock(VenueClock(), slack_ns=10, skew_ns=10), Promise()
    clock.see(100)
    assert promise.advance(clock.mark(), None) == 90
    clock.see(95)
    assert promise.advance(clock.mark(), None) is None
    clock.see(150)
    assert promise.advance(clock.mark(), None) == 140


def test_other_streams_prove_less_than_a_markets_own() -> None:
    """Streams of one connection drift apart; a silent one is carried along some way behind."""
    clock = SourceClock(VenueClock(), slack_ns=10, skew_ns=50)
    clock.see(200)
    assert clock.mark() == 150
    assert clock.mark(190) == 180
    assert clock.mark(100) == 150
    assert clock.mark(999) == 190


def test_a_mark_waits_for_trades_that_may_still_come() -> None:
    """While trades after 120 are being fetched, nothing beyond is promised."""
    promise = Promise()
    assert promise.advance(200, 120) == 119
    assert promise.advance(300, 120) is None
    assert promise.advance(300, None) == 300


def test_an_answered_ping_proves_time_to_a_quiet_connection() -> None:
    """What the venue's other connections had seen when the ping left has passed here too."""
    venue = VenueClock()
    busy, quiet = (SourceClock(venue, slack_ns=0, skew_ns=0) for _ in range(2))
    busy.see(100)
    quiet.ping()
    busy.see(500)
    assert quiet.mark() == 0
    quiet.pong()
    assert quiet.mark() == 100
    quiet.pong()
    assert quiet.mark() == 100


def test_a_busy_connection_is_marked_each_time_and_a_quiet_one_once_a_second() -> None:
    """A hundred frames a second are busy, a few are not."""
    busy, quiet = MarkCadence(0.25), MarkCadence(0.25)
    turns = [(turn, turn * 250_000_000) for turn in range(4, 12)]
    assert [busy.is_due(25 * turn, now_ns, now_ns) for turn, now_ns in turns] == [True] * 8
    due = [quiet.is_due(turn, now_ns, now_ns) for turn, now_ns in turns]
    assert due == [True, False, False, False] * 2


def test_a_quiet_connection_is_marked_when_the_venues_time_runs_fast() -> None:
    """A replay brings seconds of the venue within one of ours."""
    cadence = MarkCadence(0.25)
    assert cadence.is_due(1, 10_000_000_000, 100)
    assert not cadence.is_due(2, 11_900_000_000, 200)
    assert cadence.is_due(3, 12_000_000_000, 300)


def test_what_came_last_is_marked_although_nothing_follows() -> None:
    """The second after a connection fell silent."""
    cadence = MarkCadence(0.25)
    assert cadence.is_due(1, 500, 0) is False
    assert cadence.is_due(1, 500, 1_000_000_000)
