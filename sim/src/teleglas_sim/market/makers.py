"""Makers: fill a new book, keep it around the fair price, refill what takers took."""

from math import exp, floor

from teleglas_sim.market.book import Book, BookSide
from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.draws import Draws

__all__ = ["Makers"]

LEVELS = 390
MOST_LEVELS = 400
# Median notional at the touch in the captures, USD: BTC spot 64,000 to 67,000, USD-M 550,000 to
# 1,260,000.
TOUCH_USD, TOUCH_USD_PERPETUAL, TOUCH_SPREAD = 25_000.0, 250_000.0, 1.9
DEEP_SHARE, DEEP_SHARE_PERPETUAL, DEEP_SPREAD = 0.1, 0.08, 1.6
# Quotes follow the fair price only when it left the spread by this much; between moves they rest.
SLACK = 0.25e-4
NEAR_LEVELS = 4
GAP_GROWTH_LEVELS = 90.0
GAP_SHARE, WIDEST_GAP_SHARE = 0.04e-4, 1.5e-4
# A side of 390 levels stays sparse enough for this at every tick of the catalogue.
WIDEST_SIDE_SHARE = 0.12
UPDATE_REACH_LEVELS = 25.0
TOUCH_UPDATES = 0.4


class Makers:
    """The resting side of one instrument. All their changes go through `Book.put`."""

    def __init__(self, spec: InstrumentSpec, book: Book, draws: Draws) -> None:
        self._spec = spec
        self._book = book
        self._draws = draws
        touch = (TOUCH_USD_PERPETUAL if spec.perpetual else TOUCH_USD) * spec.asset.depth
        if spec.inverse:
            touch *= 0.3
        deep = touch * (DEEP_SHARE_PERPETUAL if spec.perpetual else DEEP_SHARE)
        price = spec.first_price
        self.touch_size = spec.size_for(touch, price)
        self._deep_size = spec.size_for(deep, price)
        self._slack = max(0.6, SLACK * price)
        self._gap = max(1.0, GAP_SHARE * price)
        self._widest = max(1.0, WIDEST_GAP_SHARE * price)

    def open(self, fair: float) -> None:
        """Build both sides around `fair`."""
        bid = floor(fair)
        for side, touch in ((self._book.bids, bid), (self._book.asks, bid + 1)):
            self._book.put(side, touch, self._touch_lots())
            self.lengthen(side)

    def follow(self, fair: float, updates: int, refill: float) -> None:
        """One step: move with the fair price, refill the touch with chance `refill`, stir
        some levels.
        """
        book = self._book
        if not book.bids.keys or fair > book.asks.best + self._slack:
            self._shift(book.asks, book.bids, floor(fair))
        elif fair < book.bids.best - self._slack:
            self._shift(book.bids, book.asks, floor(fair) + 1)
        elif self._draws.uniform() < refill:
            self._refill(fair)
        for _ in range(updates):
            self._stir()
        for side in (book.bids, book.asks):
            if len(side) < LEVELS:
                self.lengthen(side)
            while len(side) > MOST_LEVELS:
                book.put(side, side.worst, 0)

    def lengthen(self, side: BookSide) -> None:
        """Bring a side back to its usual number of levels: further out, within if it is wide."""
        while len(side) < LEVELS:
            width = (side.best - side.worst) * side.sign
            if width > WIDEST_SIDE_SHARE * side.best:
                price = side.best - side.sign * (1 + self._draws.below(width))
            else:
                price = side.worst - side.sign * self._far_gap(len(side))
            if price not in side.sizes:
                self._book.put(side, price, self._deep_lots())

    def _far_gap(self, level: int) -> int:
        growth = exp(level / GAP_GROWTH_LEVELS)
        usual = min(self._gap * growth, self._widest)
        return max(1, round(usual * 2.0 * self._draws.uniform()))

    def _shift(self, left: BookSide, joined: BookSide, touch: int) -> None:
        """The fair price ran through `left`: its makers pull, those of `joined` step up to
        `touch`.
        """
        book, sign = self._book, joined.sign
        while len(left) > 1 and (touch - left.best) * sign >= 0:
            book.put(left, left.best, 0)
        if (left.best - touch) * sign > 1:
            book.put(left, touch + sign, self._touch_lots())
        old = joined.best
        book.put(joined, touch, self._touch_lots())
        for _ in range(NEAR_LEVELS):
            room = (touch - old) * sign
            if room <= 1:
                return
            book.put(joined, touch - sign * (1 + self._draws.below(room)), self._deep_lots())

    def _refill(self, fair: float) -> None:
        book = self._book
        bid, ask = book.bids.best, book.asks.best
        anchor = min(max(floor(fair), bid), ask - 1)
        if ask - bid > 1:
            if anchor > bid:
                book.put(book.bids, anchor, self._touch_lots())
            if anchor + 1 < ask:
                book.put(book.asks, anchor + 1, self._touch_lots())
            return
        side = book.bids if self._draws.uniform() < 0.5 else book.asks
        if side.sizes[side.best] * 3 < self.touch_size:
            book.put(side, side.best, side.sizes[side.best] + self._touch_lots())

    def _stir(self) -> None:
        """Change, cancel or add one level, the nearer the likelier."""
        draws, book = self._draws, self._book
        side = book.bids if draws.uniform() < 0.5 else book.asks
        reach = max(0.0, draws.between(-TOUCH_UPDATES, 1.0))
        depth = min(len(side) - 1, int(UPDATE_REACH_LEVELS * reach / (1.0 - reach)))
        key = side.keys[-1 - depth]
        price = key * side.sign
        choice = draws.uniform()
        if choice < 0.5:
            lots = self._touch_lots() if depth == 0 else self._deep_lots()
            book.put(side, price, lots)
        elif depth == 0:
            return
        elif choice < 0.75:
            book.put(side, price, 0)
        else:
            room = side.keys[-depth] - key
            if room > 1:
                inner = (key + 1 + draws.below(room - 1)) * side.sign
                book.put(side, inner, self._deep_lots())

    def _touch_lots(self) -> int:
        return self._lots(self.touch_size, TOUCH_SPREAD)

    def _deep_lots(self) -> int:
        return self._lots(self._deep_size, DEEP_SPREAD)

    def _lots(self, median: int, spread: float) -> int:
        lot = self._spec.lot
        return max(1, int(median * exp(spread * self._draws.normal())) // lot) * lot
