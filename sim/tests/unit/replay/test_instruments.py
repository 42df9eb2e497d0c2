"""Reference data out of frames."""

import pytest

from teleglas_sim.replay.instruments import grid


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([f"{100 + i * 0.5:.2f}" for i in range(400)], "0.50"),
        ([f"{100 + i * 0.01:.8f}" for i in range(400)], "0.01000000"),
        (["100.50", "101.00"], "0.10"),
        (["7", "12"], "1"),
        (["0.00000000", "5.00000000"], "1.00000000"),
    ],
)
def test_the_step_is_the_common_divisor_of_many_and_a_decimal_of_few(
    values: list[str], step: str
) -> None:
    """A few values could share a divisor by chance."""
    assert grid(values) == step
