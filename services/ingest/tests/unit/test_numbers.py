from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teleglas_ingest.domain.numbers import MAX_PRICE, Exact, RefusedError, exact, parser, scaled

DIGITS = st.text("0123456789", min_size=1, max_size=8)
PLAIN = st.builds(lambda a, b: f"{a}.{b}" if b else a, DIGITS, st.text("0123456789", max_size=10))


@given(PLAIN, st.integers(-10, 0))
def test_scaled_agrees_with_decimal_or_refuses_what_is_too_fine(text: str, exponent: int) -> None:
    """A decimal string becomes exactly the integer that decimal arithmetic gives."""
    expected = Decimal(text).scaleb(-exponent)
    if expected == expected.to_integral_value():
        assert scaled(text, exponent) == int(expected)
    else:
        with pytest.raises(RefusedError, match="too_fine"):
            scaled(text, exponent)


@given(PLAIN, st.integers(-10, 0))
@example("99999999999999.9", 0)
@example("9999999999.99999", -4)
@example("9007199254.740993", -6)
@example("90071992.54740993", -8)
def test_parser_agrees_with_scaled_within_its_limits(text: str, exponent: int) -> None:
    """The fast way gives what the slow way gives."""
    parse = parser(exponent, most=MAX_PRICE, zero=True)
    try:
        expected = scaled(text, exponent)
    except RefusedError as error:
        with pytest.raises(RefusedError, match=f"{error.reason}|implausible"):
            parse(text)
    else:
        assert parse(text) == expected


@given(st.text(max_size=60))
def test_parser_survives_any_text(text: str) -> None:
    """Whatever stands in a number field, the answer is a number in range or a named refusal."""
    parse = parser(-8, most=10**10)
    try:
        value = parse(text)
    except RefusedError:
        return
    assert 0 < value <= 10**18


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not_finite"),
        ("-Infinity", "not_finite"),
        ("-1.5", "negative"),
        ("0", "not_positive"),
        ("0.00000000", "not_positive"),
        ("99999999999.0", "implausible"),
        ("9" * 40, "implausible"),
        ("9" * 100, "too_long"),
        ("1e5", "not_decimal"),
        ("1_0.00000000", "not_decimal"),
        ("+1.0", "not_decimal"),
        (" 1.0", "not_decimal"),
        ("\n1.0", "not_decimal"),
        ("1.0 ", "not_decimal"),
        ("01.0e0", "not_decimal"),
        ("-0.0", "negative"),
        ("", "not_decimal"),
        (".", "not_decimal"),
        ("1.2.3", "not_decimal"),
        ("0.000000001", "too_fine"),
        ("１.0", "not_decimal"),
    ],
)
def test_parser_names_what_is_wrong(text: str, reason: str) -> None:
    """Each kind of nonsense is refused by its own name."""
    with pytest.raises(RefusedError) as caught:
        parser(-8, most=10**10)(text)
    assert caught.value.reason == reason


@given(PLAIN, st.sampled_from(["", "-"]))
def test_exact_keeps_the_value_without_trailing_zeros(text: str, sign: str) -> None:
    """A rate keeps its sign and its value; the mantissa ends in no zero."""
    value = exact(sign + text)
    assert Decimal(value.mantissa).scaleb(value.exponent) == Decimal(sign + text)
    assert value == Exact(0, 0) or value.mantissa % 10


def test_times_multiplies_exactly() -> None:
    """A contract's value times its multiplier loses nothing."""
    assert exact("0.01").times(exact("10")) == Exact(1, -1)
