"""Figures of a run, such as its sample cards, shown in TensorBoard beside its curves."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from vqa_helpers.data.folder import Dataset
from vqa_helpers.report.cards import sample_cards
from vqa_helpers.report.style import as_png
from vqa_helpers.report.tables import scored_split
from vqa_helpers.runs import Run
from vqa_helpers.training.events import FOLDER, write_pictures

SAMPLES = "samples"


def pin(run: Run, kind: str, figures: Mapping[str, Figure]) -> None:
    """Show figures in a run's TensorBoard, in place of earlier ones of that kind.

    Args:
        kind: letters that name these figures, such as "gallery".
        figures: by title.
    """
    pictures = {f"{kind}/{title}": _pixels(figure) for title, figure in figures.items()}
    write_pictures(run.folder, kind, int(run.config["epochs"]), pictures)


def pin_samples(run: Run, dataset: Dataset, count: int = 6) -> None:
    """Show sample cards of a finished run, once: those that are there are left."""
    if any((run.folder / FOLDER).glob(f"*.{SAMPLES}-of-run")):
        return
    split, _ = scored_split(run.metrics)
    predictions = run.predictions[run.predictions["split"] == split]
    cards = sample_cards(
        predictions,
        dataset.splits[split],
        dataset.images,
        count=count,
        image_size_px=run.config.get("image_size_px"),
    )
    pin(run, SAMPLES, {f"{split} questions": cards})


def _pixels(figure: Figure) -> np.ndarray:
    """A figure as (H, W, 3) uint8."""
    with Image.open(io.BytesIO(as_png(figure))) as image:
        return np.asarray(image.convert("RGB"))
