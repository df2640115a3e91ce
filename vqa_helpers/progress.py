"""Progress of long work: a bar on a terminal, log lines elsewhere.

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
    with meter(label, total, unit=unit) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def meter(
    label: str, total: int | None = None, done: int = 0, unit: str = "B"
) -> Iterator[Callable[[int], None]]:
    """Show how much is done; yields the function that is told of more.

    Args:
        total: bytes, or what `unit` says, where known.
        done: how much was there before.
    """
    in_bytes = unit == "B"
    if sys.stderr.isatty():
        units = {"unit": unit if in_bytes else f" {unit}", "unit_scale": in_bytes}
        with tqdm(desc=label, total=total, initial=done, leave=False, **units) as bar:
            yield bar.update
        return
    scale, unit = (1e6, "MB") if in_bytes else (1, unit)
    start = last = time.monotonic()
    first = done

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            share = f" of {total / scale:.0f} ({100 * done / total:.0f} %)" if total else ""
            rate = (done - first) / scale / (now - start)
            so_far = f"{done / scale:.0f}{share} {unit}"
            log.info("%s: %s, %.1f %s a second", label, so_far, rate, unit)

    yield advance
