"""Measure a trained model: its answers on every split except train, and their scores."""

from pathlib import Path

from torch import Tensor

from vqa_helpers.data.formats import write_results
from vqa_helpers.evaluation import metrics
from vqa_helpers.evaluation.baselines import best_guesser, hits, measure_guesses
from vqa_helpers.evaluation.calibration import calibrate
from vqa_helpers.evaluation.compare import against
from vqa_helpers.evaluation.guesses import blind_guesses
from vqa_helpers.evaluation.wups import measure_wups
from vqa_helpers.files import write_json
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.runs import METRICS, PREDICTIONS, write_predictions
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.checkpoint import load_model
from vqa_helpers.training.inputs import Data
from vqa_helpers.training.loop import rank
from vqa_helpers.training.tensorboard import write_board

RESULTS = "results_{split}.json"  # for the evaluation server


def validation_score(data: Data, predictions: Tensor) -> float | None:
    """VQA accuracy of validation predictions (N,), percent; None where it is not defined."""
    table, answers = data.dataset.splits["validation"], data.answers.answers
    scores = metrics.vqa_scores([answers[i] for i in predictions.tolist()], table)
    return None if scores is None else metrics.percent(scores)


def measure_run(
    folder: Path, config: dict, model: VQAModel, data: Data, batches: dict[str, Batches]
) -> None:
    """Write the answers of the best epoch's model for every split except train: results JSON and,
    where the true answers are known, predictions and metrics."""
    load_model(folder, model)
    dataset, vocabulary = data.dataset, data.answers
    answered = [split for split in ("validation", "test") if dataset.answered(split)]
    guesses = blind_guesses(dataset, answered, data.features / dataset.name / "guesses")
    rows: list[dict] = []
    measured = {}
    for split, table in dataset.splits.items():
        if split == "train":
            continue
        ids, probabilities = rank(model, batches[split], config["loss"])
        ranked = [[vocabulary.answers[i] for i in row] for row in ids.tolist()]
        first = [row[0] for row in ranked]
        write_results(folder / RESULTS.format(split=split), table, first)
        if split == "export":
            continue  # for the evaluation server alone
        said = table[["question_id", "image_id"]].assign(
            split=split, answers=ranked, truth=None, vqa=None, blind=None,
            probabilities=[[round(p, 6) for p in row] for row in probabilities.tolist()],
        )  # fmt: skip
        if split in answered:
            scores = metrics.score(table, ranked, vocabulary)
            top1, vqa, images = scores["top1"], scores["vqa"], table["image_id"].to_numpy()
            best = best_guesser(guesses[split], table)
            blind, normalised = guesses[split][best], metrics.normalised_hits(first, table)
            measured[split] = {
                **metrics.measure(table, scores, vocabulary),
                "top1_normalised": metrics.with_interval(normalised, images),
                "vqa_of_ten": metrics.vqa_of_ten(first, table),
                **measure_wups(first, table),
                "pairs": metrics.pair_accuracy(table, top1, dataset.pairs),
                "calibration": calibrate(probabilities[:, 0].numpy(), top1),
                "baselines": measure_guesses(guesses[split], table),
                "against_blind": against(best, top1, hits(blind, table), images),
            }
            said = said.assign(truth=table["answer"], blind=blind)
            if vqa is not None:
                said["vqa"] = vqa.round(6)
        rows += said.to_dict("records")
    write_predictions(folder / PREDICTIONS, rows)
    write_json(folder / METRICS, measured)
    write_board(folder, config, measured, model, dataset.splits["train"], vocabulary.answers)
