"""What notebooks, the command line and TensorBoard show of a model and of its runs, in one call."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from vqa_helpers.data.folder import Dataset
from vqa_helpers.report import figures, style
from vqa_helpers.report.cards import sample_cards
from vqa_helpers.report.tables import best_first, results_table
from vqa_helpers.report.verdicts import Runs, as_one, verdict
from vqa_helpers.runs import Run, find_experiments
from vqa_helpers.training.events import FOLDER, write_pictures

SAMPLES = "samples"


def pieces_table(model) -> pd.DataFrame:  # noqa: ANN001 - any module with the four pieces
    """What a live model is made of, a row a piece: its class and what was chosen, the numbers it
    learns and those that are frozen, and the width of what it gives.

    Args:
        model: with the pieces vision, language, fusion and classifier (None where it has none),
            each with `out_dim` and `choice`, the record of its class and keywords.
    """
    rows = []
    for place in ("vision", "language", "fusion", "classifier"):
        piece = getattr(model, place, None)
        if piece is None:
            continue
        choice = {"class": type(piece).__name__, **getattr(piece, "choice", {})}
        kind, network = choice.pop("class"), choice.pop("encoder", None)
        parts = [str(network)] if network else []
        parts += ["stored features"] if kind == "StoredFeatures" else []
        parts += [f"{name}={value}" for name, value in choice.items()]
        learnt = sum(p.numel() for p in piece.parameters() if p.requires_grad)
        frozen = sum(p.numel() for p in piece.parameters()) - learnt
        rows.append(
            (place, kind, ", ".join(parts), learnt, frozen, getattr(piece, "out_dim", None))
        )
    columns = ["piece", "class", "chosen", "learnt", "frozen", "output width"]
    return pd.DataFrame(rows, columns=columns).set_index("piece")


def show_results(runs: Runs) -> None:
    """Display the results, the accuracy per answer type and the reliability of an experiment."""
    from IPython.display import display

    display(results_table(as_one(runs)).set_index("name").T)
    display(figures.plot_answer_types(runs), figures.plot_reliability(runs))


def show_samples(runs: Runs, dataset: Dataset, seed: int = 0) -> None:
    """Display sample cards of an experiment and the verdict on it."""
    from IPython.display import display

    display(sample_cards(runs, dataset, seed=seed))
    print(verdict(runs))


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
    """Write the README's figures of the finished runs on a dataset into `folder`.

    Raises:
        InputError: when there is no finished run on the dataset.
    """
    experiments = best_first(find_experiments(runs_root), dataset)
    drawn = {
        "comparison": figures.plot_comparison(experiments, f"Top-1 accuracy on {dataset.name}"),
        "sample_cards": sample_cards(experiments[0], dataset),
        "curves": figures.plot_curves(
            experiments, title=f"What was learnt on {dataset.name}, epoch by epoch"
        ),
        "answer_types": figures.plot_answer_distribution(
            dataset.splits, title=f"What {dataset.name} asks"
        ),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [style.save(figure, Path(folder) / f"{n}.png") for n, figure in drawn.items()]
