from teleglas_ingest.domain.progress import Promise, SourceClock, VenueClock


def test_a_mark_stays_behind_the_newest_event_and_never_goes_back() -> None:
    """The promise grows with event time and keeps its slack."""
    clock, promise = SourceClock(VenueClock(), slack_ns=10), Promise()
    clock.see(100)
    assert promise.advance(clock.mark, None) == 90
    clock.see(95)
    assert promise.advance(clock.mark, None) is None
    clock.see(150)
    assert promise.advance(clock.mark, None) == 140


def test_a_mark_waits_for_trades_that_may_still_come() -> None:
    """While trades after 120 are being fetched, nothing beyond is promised."""
    promise = Promise()
    assert promise.advance(200, 120) == 119
    assert promise.advance(300, 120) is None
    assert promise.advance(300, None) == 300


def test_an_answered_ping_proves_time_to_a_quiet_connection() -> None:
    """What the venue's other connections had seen when the ping left has passed here too."""
    venue = VenueClock()
    busy, quiet = SourceClock(venue, slack_ns=0), SourceClock(venue, slack_ns=0)
    busy.see(100)
    quiet.ping()
    busy.see(500)
    assert quiet.mark == 0
    quiet.pong()
    assert quiet.mark == 100
    quiet.pong()
    assert quiet.mark == 100
