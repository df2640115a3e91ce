"""Fit a model: batches, a loss, a schedule. Knows nothing of text, files or plots.

The epoch to keep is chosen by the caller, on validation; what is yielded after each epoch is
enough to choose, to plot and to resume.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqa_helpers.model.config import DEFAULT_LOSS, Loss, Schedule
from vqa_helpers.model.vqa import VQAModel
from vqa_helpers.progress import track
from vqa_helpers.training.augment import augment, draw
from vqa_helpers.training.batches import Batch, Batches
from vqa_helpers.training.losses import LossFunction, cross_entropy, probabilities
from vqa_helpers.training.optimiser import optimiser_of, restride
from vqa_helpers.training.step import make_step, resolve_precision
from vqa_helpers.training.streaming import send
from vqa_helpers.training.team import ALONE, Team

Score = Callable[[Tensor], float | None]


@dataclass
class Epoch:
    """What one epoch gave: losses in nats, of the questions that can be learnt; accuracies in
    percent, of those (train) and of all (validation)."""

    epoch: int
    train_loss: float
    train_top1: float
    validation_loss: float
    validation_top1: float
    validation_vqa: float | None
    learning_rate: float
    train_s: float


class Trainer:
    """A model on its way: the optimiser, the schedule, the shuffling and the epoch reached.

    Args:
        model: on its device already.
        seed: of the shuffling and of dropout.
        precision: "float32", "bfloat16", or "auto": see `step.resolve_precision`.
        capture: whether a GPU may replay steps as CUDA graphs.
        team: the processes that train together; each has a trainer, and a share of the batches.
    """

    def __init__(
        self,
        model: VQAModel,
        schedule: Schedule,
        seed: int,
        loss: LossFunction = cross_entropy,
        precision: str = "auto",
        capture: bool = True,
        team: Team = ALONE,
    ) -> None:
        device = next(model.parameters()).device
        if device.type == "cuda":
            torch.cuda.set_device(device)  # streams, graphs and generators are those of one GPU
            model.to(memory_format=torch.channels_last)  # of pixels, as tensor cores read them
        self.model = model
        self.schedule = schedule
        self.loss = loss
        self.seed = seed
        self.team = team
        precision = resolve_precision(precision, device)
        self.step = make_step(model, loss, device, precision, capture, schedule.accumulate, team)
        self.optimiser = optimiser_of(model, schedule)
        self.decay = torch.optim.lr_scheduler.StepLR(
            self.optimiser, schedule.decay_every, schedule.decay
        )
        self.shuffling = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # of dropout, whatever was drawn since the model was built
        self.epoch = 0

    def state(self) -> dict:
        """Everything that the next epoch depends on."""
        return {
            "model": self.model.saved_state(),
            "optimiser": self.optimiser.state_dict(),
            "decay": self.decay.state_dict(),
            "shuffling": self.shuffling.get_state(),
            "dropout": torch.get_rng_state(),
            "dropout_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "epoch": self.epoch,
        }

    def restore(self, state: dict) -> None:
        """Go on from `state` as if there had been no interruption."""
        self.model.load_saved_state(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        restride(self.optimiser)
        self.decay.load_state_dict(state["decay"])
        self.shuffling.set_state(state["shuffling"])
        torch.set_rng_state(state["dropout"])
        for gpu in range(min(len(state["dropout_cuda"]), torch.cuda.device_count())):
            torch.cuda.set_rng_state(state["dropout_cuda"][gpu], gpu)
        self.epoch = state["epoch"]

    def fit(
        self, train: Batches, validation: Batches, epochs: int, score: Score | None = None
    ) -> Iterator[Epoch]:
        """Train until `epochs` are done in all, yielding after each.

        Args:
            score: of the validation predictions (N,), in percent, in the order of the table: the
                VQA accuracy, which needs texts that this module does not know.
        """
        while self.epoch < epochs:
            rate = self.optimiser.param_groups[0]["lr"]
            start = time.perf_counter()
            label = f"epoch {self.epoch + 1}/{epochs}"
            loss, hits = self._train_epoch(train, label)
            train_s = time.perf_counter() - start
            held_out, predictions, validation_hits = evaluate(self.model, validation, self.loss)
            self.decay.step()
            self.epoch += 1
            yield Epoch(
                epoch=self.epoch,
                train_loss=loss,
                train_top1=100 * hits / len(train),
                validation_loss=held_out,
                validation_top1=100 * validation_hits / len(validation),
                validation_vqa=score(predictions) if score else None,
                learning_rate=rate,
                train_s=train_s,
            )

    def _train_epoch(self, train: Batches, label: str) -> tuple[float, int]:
        """One pass: the mean loss, and how many answers were right on the way."""
        self.model.train()
        self.team.reseed(self.seed, self.epoch)
        self.step.start()
        how = self.schedule.augmentation
        draws = how and draw(self.seed, self.epoch, len(train))  # (N, DRAWS)
        batches = train.shuffled(self.shuffling)
        if self.team.main:
            batches = track(batches, label, total=train.count(), unit="batches")
        for batch in batches:
            if how is not None:
                drawn = send(draws[batch.rows], batch.image.device)
                batch.image = augment(batch.image, drawn, how)
            self.step(batch)
            self.optimiser.step()
        total, weight, hits = self.team.sum(self.step.counts)
        return (total / weight).item(), int(hits.item())


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return model(batch.image, batch.question, batch.lengths)  # (B, A)


@torch.inference_mode()
def evaluate(
    model: nn.Module, batches: Batches, loss: LossFunction = cross_entropy
) -> tuple[float, Tensor, int]:
    """Answer every question of a split.

    Returns:
        The mean loss over the questions that could be learnt (nan without one), the predictions
        (N,), and the number of hits among all questions.
    """
    model.eval()
    sums, predictions, rows = [], [], []
    for batch in batches.in_order():
        logits = _logits(model, batch)
        losses, weights = loss(logits, batch.target, batch.soft)  # (B,) each
        sums.append(torch.stack([losses.sum(), weights.sum()]))
        predictions.append(logits.argmax(1))
        rows.append(batch.rows)
    team = batches.team
    predicted = team.whole(torch.cat(predictions), torch.cat(rows), len(batches))
    total, weight = team.sum(torch.stack(sums).sum(0)).tolist()
    mean = total / weight if weight else float("nan")
    return mean, predicted.cpu(), int((predicted == batches.target.to(predicted.device)).sum())


@torch.inference_mode()
def rank(
    model: nn.Module, batches: Batches, most: int = 5, loss: Loss = DEFAULT_LOSS
) -> tuple[Tensor, Tensor]:
    """The most probable answers of every question.

    Args:
        loss: the one the model was trained with, which says how its logits are read.

    Returns:
        Answer ids (N, K) and probabilities (N, K), best first; K is `most`, or the number of
        answers where that is smaller.
    """
    model.eval()
    ids, chances, rows = [], [], []
    for batch in batches.in_order():
        logits = _logits(model, batch)
        top = probabilities(logits, loss).topk(min(most, logits.shape[1]), dim=1)
        ids.append(top.indices)
        chances.append(top.values)
        rows.append(batch.rows)
    found = (torch.cat(part) for part in (ids, chances))
    ids, chances = (batches.team.whole(one, torch.cat(rows), len(batches)) for one in found)
    return ids.cpu(), chances.cpu()
