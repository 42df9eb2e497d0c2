"""Precision and recall of the whale detector on simulated markets, and what it finds in captures.

Eight instruments, two hours of market time a seed. Truth is every parent order of the simulator
over the threshold that was in force when it ended, planted or not; an alert finds it when both are
of one instrument and side, overlap in time (20 ms of slack) and each has at least half of the
other's notional. The warm-up counts neither way. Cascades are told from liquidations sampled as the
venues sample them; there the totals are lower bounds, so only side and time must agree.

Development used seeds below 100; the default ones were not looked at before.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from _whales_captures import capture_table
from _whales_market import MS, Outcome, Run, Truth, run_seed

from teleglas_whale_detector.domain.alerts import Alert, Kind

TARGET, CASCADE_TARGET = 0.95, 0.9
SLACK_NS = 20 * MS
FORCED_SLACK_NS = 2_000 * MS

Found = tuple[int, Alert]


class Score:
    """Counts over seeds."""

    def __init__(self) -> None:
        self.confusion: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[str] = Counter()
        self.alerts = self.right = self.truths = self.found = 0
        self.cascades = self.cascades_found = 0
        self.cascade_alerts = self.cascade_right = 0

    def add(self, outcome: Outcome) -> None:
        fills = [one for one in outcome.alerts if one[1].kind is not Kind.CASCADE]
        by_side: defaultdict[tuple[int, int], list[Alert]] = defaultdict(list)
        for at, alert in fills:
            by_side[at, alert.parent.side].append(alert)
        right: set[str] = set()
        for truth in outcome.truths:
            matches = [a for a in by_side[truth.instrument, truth.side] if _matches(truth, a)]
            self.truths += 1
            self.found += bool(matches)
            self.confusion[truth.kind, matches[0].kind.name.lower() if matches else "missed"] += 1
            right.update(alert.id for alert in matches)
        for truth in outcome.cascades:
            near = by_side[truth.instrument, truth.side]
            right.update(alert.id for alert in near if _matches(truth, alert))
        self.alerts += len(fills)
        self.right += len(right)
        self.wrong.update(alert.kind.name.lower() for _, alert in fills if alert.id not in right)
        self._add_cascades(outcome)

    def _add_cascades(self, outcome: Outcome) -> None:
        alerts = [one for one in outcome.alerts if one[1].kind is Kind.CASCADE]
        right: set[str] = set()
        for truth in outcome.cascades:
            known = outcome.forced_known_ns.get(truth.instrument)
            if known is None or truth.ts_first < known:
                continue
            matches = [alert for at, alert in alerts if _overlaps(truth, at, alert)]
            self.cascades += 1
            self.cascades_found += bool(matches)
            self.confusion["cascade", "cascade" if matches else "missed"] += 1
            right.update(alert.id for alert in matches)
        self.cascade_alerts += len(alerts)
        self.cascade_right += len(right)


def _matches(truth: Truth, alert: Alert) -> bool:
    parent = alert.parent
    if parent.ts_first > truth.ts_last + SLACK_NS or truth.ts_first > parent.ts_last + SLACK_NS:
        return False
    notional = parent.notional * 10.0 ** (alert.price_exponent + alert.size_exponent)
    return notional >= truth.notional / 2 and truth.notional >= notional / 2


def _overlaps(truth: Truth, at: int, alert: Alert) -> bool:
    parent = alert.parent
    return (
        at == truth.instrument
        and parent.side == truth.side
        and parent.ts_first <= truth.ts_last + FORCED_SLACK_NS
        and truth.ts_first <= parent.ts_last + FORCED_SLACK_NS
    )


def measure(runs: Iterable[Run], workers: int) -> Score:
    score = Score()
    with ProcessPoolExecutor(workers) as pool:
        for outcome in pool.map(run_seed, runs):
            score.add(outcome)
            warm_ups = ", ".join(
                f"{name} {seconds:,.0f}" for name, seconds in outcome.warm_up_s.items()
            )
            print(f"seed {outcome.seed}: {outcome.trades:,} trades; warm-up in s: {warm_ups}")
            rate = outcome.trades / outcome.detector_s
            found = len(outcome.truths)
            print(f"  {found} parents over the threshold, {rate:,.0f} trades/s of CPU time")
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1001, 1002])
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=200.0, help="trades/s of all instruments")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    runs = [Run(seed, options.hours, options.rate) for seed in options.seeds]
    score = measure(runs, options.workers)
    precision = score.right / max(1, score.alerts)
    recall = score.found / max(1, score.truths)
    cascades = score.cascades_found / max(1, score.cascades)
    certain = score.cascade_right / max(1, score.cascade_alerts)
    for (truth, found), count in sorted(score.confusion.items()):
        print(f"  {truth:<12} found as {found:<8} {count}")
    for kind, count in sorted(score.wrong.items()):
        print(f"  no parent    found as {kind:<8} {count}")
    capture_table()
    print(
        f"recall {recall:.4f} of {score.truths}, precision {precision:.4f} of {score.alerts};"
        f" cascades: recall {cascades:.4f} of {score.cascades}, precision {certain:.4f}"
    )
    is_ok = min(precision, recall) >= TARGET and cascades >= CASCADE_TARGET
    ratio = min(precision, recall)
    print(f"whales ratio={ratio:.4f} target={TARGET:g} {'ok' if is_ok else 'short'}")


if __name__ == "__main__":
    main()
