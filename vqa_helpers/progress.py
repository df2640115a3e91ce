"""Progress on long work: a bar on a terminal, plain log lines where nobody watches.

Notebook widgets are never used: run headless they leave metadata that breaks rendered notebooks.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
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
