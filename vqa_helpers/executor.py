"""Units of work, done here or elsewhere: the one seam between what is computed and where.

A room that has many independent pieces of work (shards of images, notebooks, seeds) hands them to
an executor and takes the results as they come. `Local` works in this process;
`vqa_helpers.cluster` does the same over many machines. Neither knows what the work is.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice, takewhile
from threading import Event
from typing import Protocol, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class Executor(Protocol):
    """Where units of work are done."""

    def map(
        self, work: Callable[[Unit], Result], units: Iterable[Unit], stop: Event | None = None
    ) -> Iterator[tuple[Unit, Result]]:
        """Do every unit once; yield each with its result, in the order in which they end.

        Args:
            work: does one unit. Each worker has one of its own, so what is dear (a network) can be
                made at the first unit and kept. Work, units and results may have to travel: they
                can be pickled.
            units: taken one by one as workers become free, so that there may be very many.
            stop: once it is set nothing more begins, and the iterator ends soon. What runs in other
                processes is given up; work in this one must look at `stop` itself.

        Raises:
            what the work raises; units not yet begun are left alone.
        """


class Local:
    """This process: one unit after the other, or several at a time in threads."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def map(
        self, work: Callable[[Unit], Result], units: Iterable[Unit], stop: Event | None = None
    ) -> Iterator[tuple[Unit, Result]]:
        """As `Executor.map`; one worker alone begins a unit when its result is asked for."""
        units = iter(units) if stop is None else takewhile(lambda _: not stop.is_set(), units)
        if self.workers == 1:
            for unit in units:
                yield unit, work(unit)
            return
        with ThreadPoolExecutor(self.workers) as threads:
            running = {threads.submit(work, unit): unit for unit in islice(units, self.workers)}
            while running:
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    unit = running.pop(ended)
                    running |= {threads.submit(work, unit): unit for unit in islice(units, 1)}
                    yield unit, ended.result()
