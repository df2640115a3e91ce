"""The figures that the README shows: explained by drawings, measured on finished runs."""

import logging
from pathlib import Path

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.report.architecture import draw_architecture
from vqa_helpers.report.cards import sample_cards
from vqa_helpers.report.examples import best_run, choose_examples
from vqa_helpers.report.figures import plot_comparison
from vqa_helpers.report.panels import plot_all_curves, plot_answer_pies
from vqa_helpers.report.puzzle import draw_puzzle, draw_split_model
from vqa_helpers.report.style import save
from vqa_helpers.report.tables import results_table, scored_split
from vqa_helpers.runs import Run, find_runs

log = logging.getLogger(__name__)

README_DPI = 120
ARCHITECTURES = "architectures"  # folder of one figure a preset


def write_gallery(dataset: Dataset, runs_root: Path, folder: Path) -> list[Path]:
    """Write every figure of the README into `folder`, and the architectures below it.

    Raises:
        InputError: when there is no finished run on the dataset.
    """
    runs = find_runs(runs_root, dataset.name)
    if not runs:
        raise InputError(f"{runs_root}: holds no finished run on {dataset.name}; train one first")
    folder = Path(folder)
    (folder / ARCHITECTURES).mkdir(parents=True, exist_ok=True)
    best = best_run(runs)
    split, _ = scored_split(best.metrics)
    name = dataset.name
    figures = {
        "comparison": plot_comparison(results_table(runs_root, name), f"Top-1 accuracy on {name}"),
        "sample_cards": sample_cards(best.predictions, dataset.splits[split], dataset.images),
        "curves": plot_all_curves(runs, f"Every run on {name}: what it learnt, epoch by epoch"),
        "answer_types": plot_answer_pies(dataset.splits, f"What is asked in {name}: answer types"),
    }
    examples = choose_examples(best, dataset)
    if examples:
        figures["puzzle"] = draw_puzzle(examples[0])
    stored = [run for run in runs if is_stored(run)]
    if stored:
        figures["split_model"] = draw_split_model(dataset, best_run(stored))
    for preset in PRESETS.values():
        figures[f"{ARCHITECTURES}/{preset.name}"] = draw_architecture(preset)
    for name in ("comparison", "sample_cards"):  # drawn for notebooks, which are kept small
        figures[name].set_dpi(README_DPI)
    return [save(figure, folder / f"{path}.png") for path, figure in figures.items()]


def is_stored(run: Run) -> bool:
    """Whether the run's vision was computed once per image."""
    images = (run.config.get("pieces") or {}).get("images")
    return bool(images) and not images["in_loop"]
