"""The rules of the edge, alone."""

from __future__ import annotations

import contextlib
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from teleglas_gateway.domain.commands import CommandError, Subscribe, parse_command
from teleglas_gateway.domain.fences import SeenIds, SeenSequences
from teleglas_gateway.domain.frames import close_frame, ping_frame, text_frame
from teleglas_gateway.domain.keys import mint, parse_scopes, prefix_of
from teleglas_gateway.domain.limits import NS_PER_S, Quota, decide
from teleglas_gateway.domain.numbers import DECIMAL_STRINGS, decimal_string, iso_ms
from teleglas_gateway.domain.positions import (
    InvalidTokenError,
    Position,
    SubjectKey,
    decode_token,
    encode_token,
    index_of,
    offset_of,
    pack_seq,
)
from teleglas_gateway.domain.symbols import Catalogue, Listing, UnknownSymbolError

EXAMPLES = settings(max_examples=50, deadline=None)


@EXAMPLES
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-30, 30))
def test_decimal_strings_are_exact(mantissa, exponent):
    """What is written is the number itself, never in scientific notation."""
    text = decimal_string(mantissa, exponent)
    assert Decimal(text) == Decimal(mantissa).scaleb(exponent)
    assert "E" not in text


@EXAMPLES
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_statistics_as_strings_keep_the_float_or_are_null(value):
    """Strings of statistics give the same float again; NaN and infinity are null."""
    text = DECIMAL_STRINGS.inexact(value)
    if isinstance(text, str):
        assert float(text) == value
        assert "e" not in text
    else:
        assert text is None
        assert not math.isfinite(value)


@EXAMPLES
@given(st.integers(0, 2**42), st.integers(0, 1023))
def test_sequence_numbers_unpack_grow_and_fit_json(offset, index):
    """A later message has a larger number, and every reader keeps it exact."""
    seq = pack_seq(offset, index)
    assert (offset_of(seq), index_of(seq)) == (offset, index)
    assert seq < pack_seq(offset + 1, 0) < 2**53


def test_tokens_give_back_their_positions():
    """A token is its positions, nothing more."""
    positions = {
        SubjectKey("trades", "binance", "BTC-USDT"): Position("k3f9", 812),
        SubjectKey("candles", "composite", "BTC-USDT", "1m"): Position("aa", 0),
    }
    assert decode_token(encode_token(positions)) == positions


@EXAMPLES
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_forged_tokens_are_refused(token):
    """Whatever is not a token is refused by name."""
    with pytest.raises(InvalidTokenError):
        decode_token(token)


@EXAMPLES
@given(st.binary(max_size=70_000))
def test_frames_are_what_a_websocket_reader_reads(payload):
    """Frames of every length class parse back to their payload."""
    frame = text_frame(payload)
    reader = StreamReader()
    reader.feed_data(frame)
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    parsed = done.value.value
    assert (parsed.opcode, parsed.fin, bytes(parsed.data)) == (Opcode.TEXT, True, payload)


def test_control_frames_are_short():
    """A reason that is too long is cut at a character, for control frames hold 125 bytes."""
    assert len(close_frame(4430, "ä" * 200)) <= 127
    close_frame(4430, "ä" * 200)[4:].decode()
    assert ping_frame() == b"\x89\x00"


@EXAMPLES
@given(st.permutations(range(1, 12)), st.lists(st.integers(1, 11), max_size=20))
def test_each_number_is_new_once_in_whatever_order(order, repeats):
    """Backfills fill their holes; what was there is known."""
    seen = SeenSequences()
    accepted = [number for number in [*order, *repeats] if seen.add(number)]
    assert sorted(accepted) == list(range(1, 12))


@EXAMPLES
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_holes_are_bounded_and_never_let_a_repeat_through(numbers):
    """With few holes kept, a number may be taken for known, never twice for new."""
    seen = SeenSequences(max_holes=4)
    accepted = [number for number in numbers if seen.add(number)]
    assert len(set(accepted)) == len(accepted)
    assert len(seen._firsts) <= 4
    assert seen._firsts == sorted(seen._firsts)


def test_ids_are_remembered_up_to_a_bound():
    """The oldest id goes first."""
    seen = SeenIds(max_ids=2)
    assert [seen.add(name) for name in "abab"] == [True, True, False, False]
    assert seen.add("c")
    assert seen.add("a")


@EXAMPLES
@given(
    requests=st.integers(1, 50),
    window_s=st.integers(1, 100),
    gaps_ms=st.lists(st.integers(0, 5_000), min_size=1, max_size=200),
)
def test_no_window_ever_admits_more_than_twice_the_quota(requests, window_s, gaps_ms):
    """GCRA: a burst of the quota, then its rate; in any window at most both together."""
    quota = Quota("q", requests, window_s)
    now_ns, full_at, admitted = 10**18, None, []
    for gap_ms in gaps_ms:
        now_ns += gap_ms * 1_000_000
        full_at, verdict = decide(full_at, now_ns, quota)
        assert 0 <= verdict.remaining <= requests
        assert verdict.allowed == (verdict.retry_after_s == 0)
        if verdict.allowed:
            admitted.append(now_ns)
        else:
            later = now_ns + verdict.retry_after_s * NS_PER_S
            assert decide(full_at, later, quota)[1].allowed
    for end in admitted:
        within = [at for at in admitted if end - window_s * NS_PER_S < at <= end]
        assert len(within) <= 2 * requests


def test_symbols_are_understood_as_people_write_them():
    """Canonical, bare, joined, lower case and with a slash."""
    catalogue = Catalogue("USDT")
    for name in ("BTC-USDT", "BTC-USDT-PERP", "BTC-USDC"):
        catalogue.add(Listing("binance", name, "spot"))
    for text in ("BTC-USDT", "btc", "BTCUSDT", "btc/usdt", " BTC-usdt "):
        assert catalogue.resolve(text) == "BTC-USDT"
    assert catalogue.resolve("btcusdtperp") == "BTC-USDT-PERP"
    assert catalogue.short_name("BTC-USDT") == "BTC"
    assert catalogue.short_name("BTC-USDC") == "BTC-USDC"
    for text in ("", "DOGE", "../x", "BTC USDT", "B" * 500):
        with pytest.raises(UnknownSymbolError):
            catalogue.resolve(text)
    catalogue.remove("binance", "BTC-USDT")
    with pytest.raises(UnknownSymbolError):
        catalogue.resolve("BTCUSDT")


@EXAMPLES
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_command_or_refused_by_name(text):
    """Nothing that a client sends breaks the parser."""
    with contextlib.suppress(CommandError):
        parse_command(text)


def test_deeply_nested_commands_are_refused():
    """Nesting costs no stack."""
    with pytest.raises(CommandError):
        parse_command(b'{"method":"subscribe","params":' + b"[" * 100_000 + b"}")


def test_commands_keep_their_request_id():
    """The id comes back, whole or refused."""
    command = parse_command(
        b'{"method":"subscribe","req_id":"a","params":{"channel":"trades","symbol":"BTC"}}'
    )
    assert command.req_id == "a"
    assert isinstance(command.params, Subscribe)
    with pytest.raises(CommandError) as refused:
        parse_command(b'{"method":"subscribe","req_id":5,"params":{"symbol":"BTC"}}')
    assert refused.value.req_id == 5


def test_keys_show_their_prefix_and_hide_the_rest():
    """A minted key is recognised; anything else has no prefix."""
    letters = iter("abcdefgh" + "Z" * 40)
    key = mint(lambda _alphabet: next(letters))
    assert prefix_of(key) == "abcdefgh"
    for wrong in ("", "tg_", key + "x", key.upper()):
        assert prefix_of(wrong) is None


def test_scopes_are_known_names():
    """A misspelt scope is an error, not a key that can do nothing."""
    assert parse_scopes("market:read, stream:read") == {"market:read", "stream:read"}
    assert "key:admin" not in parse_scopes("all")
    for wrong in ("", "market:write"):
        with pytest.raises(ValueError, match="expected scopes"):
            parse_scopes(wrong)


def test_times_are_cut_to_milliseconds():
    """Cut, not rounded: a message is never from the future."""
    assert iso_ms(1_767_225_600_123_999_999) == "2026-01-01T00:00:00.123Z"
