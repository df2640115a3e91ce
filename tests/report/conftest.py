"""What several tests of the report share."""

import pytest

from tests.report import samples
from tests.report.samples import answered_rows as rows
from vqa_helpers.runs import Run


@pytest.fixture
def write(tmp_path):
    """Write a run that is right on a share of the questions."""

    def make(preset="1.e", share=0.5, seed=0, drawn=None, **changes) -> Run:
        made = rows(share, seed if drawn is None else drawn)
        metrics = samples.metrics(100 * share, vqa=60.0)
        changes = {"predictions": made, "metrics": metrics} | changes
        return Run(samples.write_run(tmp_path, preset, seed, **changes))

    return make
