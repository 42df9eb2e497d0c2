"""What people type."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notification_samples import T0

from teleglas_notification.bot.updates import heard_of
from teleglas_notification.domain.commands import (
    CommandError,
    Quiet,
    Watch,
    describe_rule,
    parse_command,
    parse_mute_s,
    parse_quiet,
    parse_switch,
    parse_watch,
    rule_from,
)


def test_watch_with_everything_becomes_one_rule() -> None:
    """Instruments are words, conditions are name=value."""
    watch = parse_watch("btc ETH-USDT,SOL min=500k pct=0.99 score=40 venue=binance+okx kind=whale")
    assert watch == Watch(
        ("whale",), ("BTC", "ETH-USDT", "SOL"), ("binance", "okx"), 500_000.0, 0.99, 40.0
    )
    rule = rule_from(watch, "default", "telegram-1", T0)
    assert rule == rule_from(watch, "default", "telegram-1", T0)
    assert describe_rule(rule) == (
        "whale of BTC, ETH-USDT, SOL on binance, okx from 500,000 percentile 0.99 or more"
        " score 40 or more either way"
    )


@pytest.mark.parametrize(
    "typed",
    ["<b>", "min=nan", "min=-1", "min=1e99", "pct=99", "score=101", "kind=cats", "colour=red",
     "venue=<x>", "BTC-" + "A" * 60, " ".join(f"C{n}" for n in range(30))],
)  # fmt: skip
def test_watch_of_what_makes_no_sense_is_refused(typed: str) -> None:
    """The answer says what was expected."""
    with pytest.raises(CommandError, match="expected"):
        parse_watch(typed)


def test_small_commands_are_read() -> None:
    """Mute, quiet hours and switches."""
    assert [parse_mute_s(text) for text in ("", "30m", "2d", "off")] == [3_600, 1_800, 172_800, 0]
    assert parse_quiet("22:00-07:00 Europe/Berlin") == Quiet("22:00", "07:00", "Europe/Berlin")
    assert parse_quiet("off") == Quiet()
    assert (parse_switch(""), parse_switch("OFF")) == (True, False)


@pytest.mark.parametrize(
    ("parse", "typed"),
    [
        (parse_mute_s, "99d"),
        (parse_quiet, "24:00-1"),
        (parse_quiet, "22:00-07:00 ../etc"),
        (parse_switch, "maybe"),
    ],
)
def test_small_commands_that_make_no_sense_are_refused(
    parse: Callable[[str], object], typed: str
) -> None:
    """The answer says what was expected."""
    with pytest.raises(CommandError, match="expected"):
        parse(typed)


@given(st.text(max_size=400))
def test_any_text_is_a_command_or_none(text: str) -> None:
    """Nothing that is typed raises anything but CommandError."""
    command = parse_command("/watch " + text)
    if command is None:
        return
    parsers: tuple[Callable[[str], object], ...] = (
        parse_watch,
        parse_mute_s,
        parse_quiet,
        parse_switch,
    )
    for parse in parsers:
        with contextlib.suppress(CommandError):
            parse(command.rest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["update_id", "message", "chat", "id", "type", "text", "from", "data",
                         "callback_query", "message_id", "my_chat_member"]), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_update_is_heard_or_ignored(raw: object) -> None:
    """Whatever an update is made of, reading it raises nothing."""
    heard = heard_of(raw)
    assert heard is None or heard.chat > 0


def message(**changes: object) -> dict[str, object]:
    chat = {"id": 7, "type": "private"}
    return {"update_id": 1, "message": {"message_id": 2, "chat": chat, "text": "/start", **changes}}


def test_update_of_a_private_chat_alone_is_heard() -> None:
    """Groups, channels and other people's buttons are not for us."""
    heard = heard_of(message())
    assert heard is not None
    assert (heard.chat, heard.text) == (7, "/start")
    assert heard_of(message(chat={"id": -5, "type": "group"})) is None
    below = {"message_id": 2, "chat": {"id": 7, "type": "private"}}
    query = {"id": "q", "from": {"id": 7}, "data": "why", "message": below}
    assert heard_of({"update_id": 3, "callback_query": query}) is not None
    stranger = {**query, "from": {"id": 8}}
    assert heard_of({"update_id": 3, "callback_query": stranger}) is None
    assert heard_of({"update_id": 1 << 80, **message()["message"]}) is None  # type: ignore[dict-item]


def test_huge_text_is_cut_before_anybody_looks_at_it() -> None:
    """A text of any size is a bounded one."""
    heard = heard_of(message(text="/watch " + "A" * 100_000))
    assert heard is not None
    assert len(heard.text) == 512
    assert parse_command(heard.text) is None
