"""The figures that the README shows, made from the run folders."""

from pathlib import Path

from vqa_helpers.data.folder import Dataset
from vqa_helpers.report.analysis import best_runs
from vqa_helpers.report.cards import sample_cards
from vqa_helpers.report.figures import plot_comparison
from vqa_helpers.report.style import save
from vqa_helpers.report.tables import results_table, scored_split


def write_gallery(dataset: Dataset, runs_root: Path, folder: Path) -> list[Path]:
    """Write `comparison.png` and `sample_cards.png`, the cards of the best run.

    Raises:
        InputError: when there is no finished run on the dataset.
    """
    best = best_runs(runs_root, dataset)[0]
    folder.mkdir(parents=True, exist_ok=True)
    table = results_table(runs_root, dataset.name)
    comparison = plot_comparison(table, f"Top-1 accuracy on {dataset.name}")
    split, _ = scored_split(best.metrics)
    cards = sample_cards(best.predictions, dataset.splits[split], dataset.images)
    return [
        save(comparison, folder / "comparison.png"),
        save(cards, folder / "sample_cards.png"),
    ]
