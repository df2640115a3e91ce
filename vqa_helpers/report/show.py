"""What notebooks, the command line and TensorBoard show of a model and of its runs, in one call."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from vqa_helpers.data.folder import Dataset
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.report import figures, style
from vqa_helpers.report.cards import sample_cards
from vqa_helpers.report.tables import best_first, results_table, shown
from vqa_helpers.report.verdicts import Runs, as_one
from vqa_helpers.runs import Run, find_experiments
from vqa_helpers.training.tensorboard import FOLDER, write_pictures

SAMPLES = "samples"


def pieces_table(model: VQAModel) -> pd.DataFrame:
    """What a live model is made of, a row a piece: its class and what was chosen, the numbers it
    learns and those that are frozen, and the width of what it gives."""
    rows = {}
    for slot, choice in model.choices().items():
        if choice is None:
            continue
        piece, keywords = getattr(model, slot), dict(choice.keywords)
        network = keywords.pop("network", None)  # of vision: what it is comes first
        chosen = ([network] if network else []) + [f"{k}={v}" for k, v in keywords.items()]
        learnt = sum(p.numel() for p in piece.parameters() if p.requires_grad)
        rows[slot] = {
            "class": choice.made_by.__name__,
            "chosen": ", ".join(chosen),
            "learnt": learnt,
            "frozen": sum(p.numel() for p in piece.parameters()) - learnt,
            "output width": getattr(piece, "out_dim", None),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("piece")


def show_results(runs: Runs) -> None:
    """Display the results, the accuracy per answer type and the reliability of an experiment."""
    from IPython.display import display

    display(shown(results_table(as_one(runs)), fold=True))
    display(figures.plot_answer_types(runs), figures.plot_reliability(runs))


def show_samples(runs: Runs, dataset: Dataset, seed: int = 0) -> None:
    """Display sample cards of an experiment."""
    from IPython.display import display

    display(style.compact(sample_cards(runs, dataset, seed=seed)))


def pin(run: Run, kind: str, figures: Mapping[str, Figure]) -> None:
    """Show figures in a run's TensorBoard, in place of earlier ones of that kind.

    Args:
        kind: letters that name these figures, such as "gallery".
        figures: by title.
    """
    pictures = {f"{kind}/{title}": style.pixels(figure) for title, figure in figures.items()}
    write_pictures(run.folder, kind, int(run.config["epochs"]), pictures)


def pin_samples(run: Run, dataset: Dataset) -> None:
    """Show sample cards of a finished run in its TensorBoard, once: what is there is left."""
    if not any((run.folder / FOLDER).glob(f"*.{SAMPLES}-of-run")):
        pin(run, SAMPLES, {"questions": sample_cards(run, dataset)})


def write_gallery(dataset: Dataset, runs_root: Path, folder: Path) -> list[Path]:
    """Write the guides' figures of the finished runs on a dataset into `folder`.

    Raises:
        InputError: when there is no finished run on the dataset.
    """
    experiments, name = best_first(find_experiments(runs_root), dataset), dataset.name
    learnt = f"What was learnt on {name}, epoch by epoch"
    drawn = {
        "comparison": figures.plot_comparison(experiments, f"Top-1 accuracy on {name}"),
        "sample_cards": sample_cards(experiments[0], dataset),
        "curves": figures.plot_curves(experiments, title=learnt),
        "answer_types": figures.plot_answer_distribution(dataset.splits, title=f"What {name} asks"),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [style.save(figure, Path(folder) / f"{n}.png") for n, figure in drawn.items()]
