"""Trials made of written runs, for the tests of what compares them."""

from pathlib import Path

from tests.report import samples
from vqa_helpers.experiment.series import Trial
from vqa_helpers.runs import Run


def trial(
    root: Path, data: str, preset: str, shares: list[float], questions: int = 900, vqa: bool = True,
    **changes,
) -> Trial:  # fmt: skip
    """A trial whose run of seed s is right on `shares[s]` of 300 questions about 100 images.

    The blind guess is right on a third of them.
    """
    runs = []
    for seed, share in enumerate(shares):
        rows = samples.answered_rows(share, seed, vqa=vqa)
        made = {"predictions": rows, "metrics": samples.metrics(100 * share)} | changes
        runs.append(Run(samples.write_run(root, preset, seed, data, **made)))
    return Trial(data, preset, questions, tuple(runs))
