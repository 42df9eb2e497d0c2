"""Whether all that was traded up to an instrument's last trade is known."""

from __future__ import annotations

__all__ = ["Standing"]


class Standing:
    """A break of a subscription hides trades, from the break until the venue told its newest one.
    An answer that was asked for before the last break does not end it.
    """

    def __init__(self, last: int | None = None) -> None:
        self.behind_at = last
        """The last trade before the break; None while there is none."""
        self.catching_up = False
        self._is_down = False
        self._ask_again = False

    def down(self, last: int | None) -> None:
        self._is_down = True
        if last is not None:
            self.behind_at = last

    def up(self, last: int | None) -> bool:
        """The subscription stands; return whether the venue is to be asked now."""
        self._is_down = False
        if self.catching_up:
            self._ask_again = True
            return False
        return self._ask(last)

    def answered(self) -> bool:
        """The venue told its newest trade. Return whether the break is over."""
        self.catching_up = False
        if self._is_down or self._ask_again:
            return False
        self.behind_at = None
        return True

    def ask_again(self, last: int | None) -> bool:
        """Return whether another answer is wanted at once."""
        return self._ask_again and not self._is_down and self._ask(last)

    def has_moved(self, last: int | None) -> bool:
        """A trade after the break came in: whatever lies between shows as a hole."""
        return last is not None and self.behind_at is not None and last > self.behind_at

    def _ask(self, last: int | None) -> bool:
        if last is None:
            return False
        if self.behind_at is None:
            self.behind_at = last
        self._ask_again = False
        self.catching_up = True
        return True
