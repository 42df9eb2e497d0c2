"""Memory of every process at 5,000 trades/s for thirty minutes: flat, or which one grows.

After a warm-up of a third of the time each process is sampled every ten seconds. Its growth is the
ratio of its median over the last quarter to that over the first quarter of the samples.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

from _product import running_product

from teleglas_cli.up.usage import Usage

TARGET = 1.05
LIMIT_MB = 1_300
SAMPLE_S = 10.0


async def run(rate: int, minutes: float) -> int:
    samples: dict[str, list[float]] = {}
    usage = Usage()
    async with running_product(rate) as product:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < minutes * 60:
            await asyncio.sleep(SAMPLE_S)
            await asyncio.to_thread(usage.sample, list(product.everything()))
            total = sum(usage.now_mb.values())
            parts = " ".join(f"{name} {size:.0f}" for name, size in usage.now_mb.items())
            print(f"{elapsed / 60:5.1f} min  {total:6.0f} MB  {parts}", flush=True)
            if elapsed > minutes * 60 / 3:
                for name, size in usage.now_mb.items():
                    samples.setdefault(name, []).append(size)
        errors = list(product.errors)
    worst = 0.0
    for name, sizes in samples.items():
        quarter = max(1, len(sizes) // 4)
        first, last = statistics.median(sizes[:quarter]), statistics.median(sizes[-quarter:])
        worst = max(worst, last / first)
        print(f"{name:<12} {first:7.1f} MB → {last:7.1f} MB  ×{last / first:.3f}")
    print(f"peak of the sum {usage.peak_total_mb:.0f} MB, limit {LIMIT_MB} MB; errors: {errors}")
    good = worst <= TARGET and usage.peak_total_mb < LIMIT_MB and not errors
    print(f"memory ratio={worst:.3f} target={TARGET} {'ok' if good else 'short'}")
    return 0 if good else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=5_000, help="trades a second")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.rate, arguments.minutes)))


if __name__ == "__main__":
    main()
