"""Progress on long work: a bar on a terminal, plain log lines where nobody watches.

Notebook widgets are never used: run headless they leave metadata that breaks rendered notebooks.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)
Item = TypeVar("Item")

LINE_EVERY_S = 10.0


def track(
    items: Iterable[Item], label: str, total: int | None = None, unit: str = "it"
) -> Iterator[Item]:
    """Yield `items`, showing how far along they are.

    Args:
        total: number of items, where `items` cannot tell.
        unit: what one item is, for the rate ("images", "batches").
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, unit=f" {unit}", leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            share = f"/{total} ({100 * done / total:.0f} %)" if total else ""
            log.info("%s: %d%s %s, %.1f a second", label, done, share, unit, done / (now - start))
        yield item


@contextmanager
def meter(label: str, total: int | None = None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show how many bytes have gone by; yields the function that is told of more.

    Args:
        total: bytes, where known.
        done: bytes that were there before.
    """
    if sys.stderr.isatty():
        with tqdm(
            desc=label, total=total, initial=done, unit="B", unit_scale=True, leave=False
        ) as bar:
            yield bar.update
        return
    start = last = time.monotonic()
    came = 0

    def advance(count: int) -> None:
        nonlocal came, last
        came += count
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            share = f" of {total / 1e6:.0f} ({100 * (done + came) / total:.0f} %)" if total else ""
            rate = came / 1e6 / (now - start)
            log.info("%s: %.0f%s MB, %.1f MB a second", label, (done + came) / 1e6, share, rate)

    yield advance
