"""What a client that reads too slowly gets, and what it never loses silently."""

from __future__ import annotations

import json

import pytest

from teleglas_gateway.channels import books, tickers, trades
from teleglas_gateway.channels.base import Channel
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.stream.outbox import Outbox, OutboxLimits, Run, Skip

TRADES = SubjectKey("trades", "binance", "BTC-USDT")
TICKER = SubjectKey("tickers", "binance", "BTC-USDT")


class Socket:
    """A transport that fills up after so many frames, and the session above it."""

    def __init__(self, room: int = 1_000_000, limits: OutboxLimits | None = None) -> None:
        self.written: list[bytes] = []
        self.room = room
        self.made_good: list[dict[SubjectKey, Skip]] = []
        self.cut_off: list[dict[SubjectKey, int | None]] = []
        self.outbox = Outbox(self.write, limits or OutboxLimits(1000, 500), self)

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.room -= 1
        if self.room == 0:
            self.outbox.pause()

    def warn(self, waiting_bytes: int) -> bytes:
        return json.dumps({"warned_at": waiting_bytes}).encode()

    def caught_up(self, skipped: dict[SubjectKey, Skip]) -> None:
        self.made_good.append(skipped)

    def overflow(self, undelivered: dict[SubjectKey, int | None]) -> None:
        self.cut_off.append(undelivered)
        self.outbox.close()


def run(channel: Channel, subject: SubjectKey, seq: int) -> Run:
    return Run(channel.policy, subject, seq - 1, seq)


def push(socket: Socket, *seqs: int, size: int = 10) -> None:
    for seq in seqs:
        socket.outbox.push(b"%d" % seq + b"." * size, run(trades.CHANNEL, TRADES, seq))


def test_a_full_socket_holds_trades_back_and_resume_writes_them_in_order():
    """Lossless messages wait in line and lose their place to nobody."""
    socket = Socket(room=1)
    push(socket, 1, 2, 3)
    assert len(socket.written) == 1
    socket.room = 100
    socket.outbox.resume()
    push(socket, 4)
    assert [frame[:1] for frame in socket.written] == [b"1", b"2", b"3", b"4"]


def test_states_make_way_for_the_newest_with_their_range():
    """Of skipped states the range is kept, not the frames."""
    socket = Socket(room=1)
    push(socket, 1)
    for seq in (5, 6, 7):
        socket.outbox.push(b"x" * 400, run(tickers.CHANNEL, TICKER, seq))
    assert socket.outbox.waiting_bytes == 0
    socket.outbox.resume()
    assert socket.made_good == [{TICKER: Skip(after_seq=4, to_seq=7, messages=3)}]


def test_a_client_is_warned_once_before_it_is_cut_off():
    """The warning goes first when the socket takes bytes again."""
    socket = Socket(room=1)
    push(socket, 1)
    push(socket, *range(2, 60), size=10)
    assert not socket.cut_off
    socket.room = 100
    socket.outbox.resume()
    assert socket.written[1].startswith(b'{"warned_at"')
    assert sum(frame.startswith(b'{"warned') for frame in socket.written) == 1


def test_overflow_names_the_last_message_that_was_written():
    """Where a client that is cut off resumes is the message before the first one in line."""
    socket = Socket(room=2)
    push(socket, 1, 2)
    push(socket, *range(3, 200), size=50)
    assert socket.cut_off == [{TRADES: 2}]
    assert socket.outbox.waiting_bytes == 0


@pytest.mark.parametrize("room", [1, 3, 5])
def test_draining_stops_when_the_socket_fills_up_again(room: int):
    """What does not fit keeps waiting, in order."""
    socket = Socket(room=1)
    push(socket, *range(1, 9))
    while len(socket.written) < 8:
        socket.room = room
        socket.outbox.resume()
    assert [frame[:1] for frame in socket.written] == [b"%d" % seq for seq in range(1, 9)]


def test_fleeting_messages_never_wait():
    """A heartbeat or a forming candle is not kept for later."""
    socket = Socket(room=1)
    push(socket, 1)
    socket.outbox.push_fleeting(b"beat")
    assert socket.outbox.waiting_bytes == 0


def test_forgotten_subjects_are_not_made_good():
    """Who unsubscribes while slow gets no snapshot of it."""
    socket = Socket(room=1)
    push(socket, 1)
    socket.outbox.push(b"x", run(books.CHANNEL, TICKER, 5))
    socket.outbox.forget(TICKER)
    socket.outbox.resume()
    assert socket.made_good == [{}]
