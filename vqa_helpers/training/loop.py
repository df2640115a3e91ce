"""Fit a model: batches, a loss, a schedule. Knows nothing of text, files or plots.

The epoch to keep is chosen by the caller, on validation; what is yielded after each epoch is
enough to choose, to plot and to resume.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vqa_helpers.data.vocabulary import OUTSIDE
from vqa_helpers.model.config import Schedule
from vqa_helpers.model.vqa import VQAModel
from vqa_helpers.progress import track
from vqa_helpers.training.batches import Batches

Score = Callable[[Tensor], float | None]


@dataclass
class Epoch:
    """What one epoch gave: losses in nats, accuracies in percent, of the questions that can be learnt
    (train) and of all of them (validation)."""

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
    """

    def __init__(self, model: VQAModel, schedule: Schedule, seed: int) -> None:
        self.model = model
        self.schedule = schedule
        learning = [p for p in model.parameters() if p.requires_grad]
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[schedule.optimiser]
        self.optimiser = kind(learning, lr=schedule.learning_rate, fused=True)
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
        self.decay.load_state_dict(state["decay"])
        self.shuffling.set_state(state["shuffling"])
        torch.set_rng_state(state["dropout"])
        if state["dropout_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["dropout_cuda"])
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
            logits_loss, predictions, validation_hits = evaluate(self.model, validation)
            self.decay.step()
            self.epoch += 1
            yield Epoch(
                epoch=self.epoch,
                train_loss=loss,
                train_top1=100 * hits / len(train),
                validation_loss=logits_loss,
                validation_top1=100 * validation_hits / len(validation),
                validation_vqa=score(predictions) if score else None,
                learning_rate=rate,
                train_s=train_s,
            )

    def _train_epoch(self, train: Batches, label: str) -> tuple[float, int]:
        """One pass: the mean loss, and how many answers were right on the way."""
        self.model.train()
        device = train.target.device
        # Summed on the device: reading a number back at each step would make the device wait.
        total, hits = torch.zeros((), device=device), torch.zeros((), device=device)
        batches = train.shuffled(self.shuffling)
        for batch in track(batches, label, total=train.count(), unit="batches"):
            logits = self.model(batch.image, batch.question, batch.lengths)  # (B, A)
            loss = cross_entropy(logits, batch.target)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            total += loss.detach() * len(batch)
            hits += (logits.detach().argmax(1) == batch.target).sum()
        return total.item() / len(train), int(hits.item())


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Batches) -> tuple[float, Tensor, int]:
    """Answer every question of a split.

    Returns:
        The mean loss over the questions whose answer is known (nan without one), the predictions
        (N,), and the number of hits among all questions.
    """
    model.eval()
    losses, predictions = [], []
    for batch in batches.in_order():
        logits = model(batch.image, batch.question, batch.lengths)  # (B, A)
        losses.append(cross_entropy(logits, batch.target, ignore_index=OUTSIDE, reduction="sum"))
        predictions.append(logits.argmax(1))
    predicted = torch.cat(predictions)
    known = int((batches.target != OUTSIDE).sum())
    loss = torch.stack(losses).sum().item() / known if known else float("nan")
    return loss, predicted.cpu(), int((predicted == batches.target).sum())


@torch.inference_mode()
def rank(model: nn.Module, batches: Batches, most: int = 5) -> tuple[Tensor, Tensor]:
    """The most probable answers of every question.

    Returns:
        Answer ids (N, K) and probabilities (N, K), best first; K is `most`, or the number of
        answers where that is smaller.
    """
    model.eval()
    ids, probabilities = [], []
    for batch in batches.in_order():
        logits = model(batch.image, batch.question, batch.lengths)  # (B, A)
        top = logits.float().softmax(1).topk(min(most, logits.shape[1]), dim=1)
        ids.append(top.indices.cpu())
        probabilities.append(top.values.cpu())
    return torch.cat(ids), torch.cat(probabilities)
