"""Fit a model: batches, a loss, a schedule.

The epoch to keep is chosen by the caller, on validation; what an epoch returns is enough to choose,
to plot and to resume. Accelerate is always in the loop: it knows the device and, where several
processes train together, averages their gradients.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vqa_helpers.environment import keep_memory
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.progress import track
from vqa_helpers.recipe import Training
from vqa_helpers.training.augment import augment, draw
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.losses import Loss, probabilities

OPTIMISERS = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "rmsprop": torch.optim.RMSprop,
}


@dataclass
class Epoch:
    """The result of one epoch: losses in nats over the learnable questions; accuracies in percent,
    over those (train) and over all (validation)."""

    epoch: int
    train_loss: float
    train_top1: float
    validation_loss: float
    validation_top1: float
    validation_vqa: float | None
    learning_rate: float
    train_s: float

    def line(self, epochs: int) -> str:
        """The log line of this epoch, out of so many."""
        vqa = "" if self.validation_vqa is None else f", VQA {self.validation_vqa:.2f} %"
        return (
            f"epoch {self.epoch}/{epochs}: train loss {self.train_loss:.4f}, top-1 "
            f"{self.train_top1:.2f} %; validation loss {self.validation_loss:.4f}, top-1 "
            f"{self.validation_top1:.2f} %{vqa}; {self.train_s:.1f} s"
        )


@dataclass(eq=False)
class Trainer:
    """A model in training: the optimiser, the schedule, the shuffling and the epoch reached.

    Args:
        seed: of the shuffling and of dropout.
        score: VQA accuracy of the validation predictions (N,), in percent, or None.
    """

    model: VQAModel
    training: Training
    loss: Loss
    accelerator: Any  # accelerate's, which whoever only answers does not wait for
    seed: int = 0
    score: Callable[[Tensor], float | None] | None = None

    def __post_init__(self) -> None:
        keep_memory()
        model, training, several = self.model, self.training, self.accelerator.num_processes > 1
        if several and self.accelerator.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        kind, parts = OPTIMISERS[training.optimiser], _groups(model, training)
        # For one process there is nothing to prepare, and half a second of imports to do it with.
        device = self.accelerator.device
        self.network = self.accelerator.prepare(model) if several else model.to(device)
        # Accelerate's own optimiser and backward look packages up at each step.
        self.optimiser = kind(parts, lr=training.learning_rate)
        schedule = training.decay_every, training.decay
        self.decay = torch.optim.lr_scheduler.StepLR(self.optimiser, *schedule)
        self.shuffling = torch.Generator().manual_seed(self.seed)
        torch.manual_seed(self.seed)  # of dropout, whatever was drawn since the model was built
        self.epoch = 0

    def state(self) -> dict:
        """Everything the next epoch depends on."""
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
        """Continue from `state` as if there had been no interruption. After the last epoch it is
        nothing but `epoch`."""
        self.epoch = state["epoch"]
        if state.keys() == {"epoch"}:
            return
        self.model.load_saved_state(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.decay.load_state_dict(state["decay"])
        self.shuffling.set_state(state["shuffling"])
        torch.set_rng_state(state["dropout"])
        for gpu in range(min(len(state["dropout_cuda"]), torch.cuda.device_count())):
            torch.cuda.set_rng_state(state["dropout_cuda"][gpu], gpu)

    def run_epoch(self, train: Batches, validation: Batches, epochs: int) -> Epoch:
        """Train one epoch and score validation.

        Args:
            epochs: in all, for the progress shown.
        """
        rate = self.optimiser.param_groups[0]["lr"]
        start = time.perf_counter()
        loss, hits = self._train(train, f"epoch {self.epoch + 1}/{epochs}")
        train_s = time.perf_counter() - start
        validation_loss, predictions = evaluate(self.model, validation, self.loss)
        right = (predictions == validation.examples.target).sum().item()
        self.decay.step()
        self.epoch += 1
        train_top1, validation_top1 = 100 * hits / len(train), 100 * right / len(validation)
        vqa = self.score(predictions) if self.score else None
        return Epoch(
            self.epoch, loss, train_top1, validation_loss, validation_top1, vqa, rate, train_s
        )

    def _train(self, train: Batches, label: str) -> tuple[float, int]:
        """One pass over train: the mean loss, and the number of right answers."""
        accelerator, training = self.accelerator, self.training
        device, half = accelerator.device, training.precision == "bfloat16"
        precision = torch.autocast(device.type, torch.bfloat16, enabled=half)
        self.model.train()
        if accelerator.num_processes > 1:  # dropout is each process's own, and follows the epoch
            seeds = np.random.SeedSequence([self.seed, self.epoch, accelerator.process_index])
            torch.manual_seed(int(seeds.generate_state(1)[0]))
        draws = draw(self.seed, self.epoch, len(train)) if training.augments else None
        batches = train.shuffled(self.shuffling)
        if accelerator.is_main_process:
            batches = track(batches, label, total=train.count(), unit="batches")
        weights = self.loss.weights(train.examples.target, train.examples.soft)  # (N,)
        # Kept on the device: reading a number back at each step would make a GPU wait.
        losses, right = [], []
        for batch in batches:
            if draws is not None:
                drawn = draws[batch.rows].to(batch.image.device)
                batch.image = augment(batch.image, drawn, training)
            weight = weights[batch.rows].sum()
            if accelerator.num_processes > 1:
                # Of the whole batch. Gradients are averaged over processes: the mean makes that a sum.
                weight = accelerator.reduce(weight.to(device), "mean")
            self.optimiser.zero_grad()
            parts = batch.parts(training.accumulate)
            for part in parts:
                last = part is parts[-1]
                with nullcontext() if last else accelerator.no_sync(self.network):
                    with precision:
                        logits = self.network(part.image, part.question).float()  # (B, A)
                    total = self.loss(logits, part.target, part.soft).sum()
                    (total / weight).backward()
                losses.append(total.detach())
                right.append(logits.detach().argmax(1) == part.target)
            if training.clamp:
                nn.utils.clip_grad_value_(self.network.parameters(), training.clamp)
            self.optimiser.step()
            for group in self.optimiser.param_groups:
                group["lr"] *= training.step_decay
        sums = torch.stack([torch.stack(losses).sum(), torch.cat(right).sum()])
        total, hits = accelerator.reduce(sums, "sum").tolist()
        return total / weights.sum().item(), int(hits)


def _groups(model: nn.Module, training: Training) -> list[dict]:
    """The trainable parameters, with a `vision_rate` those of the vision piece separately. Frozen
    ones are left out, so that weight decay does not touch them."""
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if training.vision_rate is None:
        return [{"params": list(learning.values())}]
    vision = [p for name, p in learning.items() if name.startswith("vision.")]
    rest = [p for name, p in learning.items() if not name.startswith("vision.")]
    return [{"params": rest}, {"params": vision, "lr": training.vision_rate}]


@torch.inference_mode()
def evaluate(model: VQAModel, batches: Batches, loss: Loss) -> tuple[float, Tensor]:
    """Answer every question of a split: the mean loss over the questions that could be learnt (nan
    without one), and the predictions (N,) on the CPU."""
    model.eval()
    sums, predictions = [], []
    for batch in batches.in_order():
        logits = model(batch.image, batch.question).float()  # (B, A)
        losses = loss(logits, batch.target, batch.soft)  # (B,)
        weights = loss.weights(batch.target, batch.soft)
        sums.append(torch.stack([losses.sum(), weights.sum()]))
        predictions.append(logits.argmax(1))
    total, weight = torch.stack(sums).sum(0).tolist()
    return total / weight if weight else float("nan"), torch.cat(predictions).cpu()


@torch.inference_mode()
def rank(
    model: VQAModel, batches: Batches, loss: str = "cross entropy", most: int = 5
) -> tuple[Tensor, Tensor]:
    """The most probable answers of every question.

    Args:
        loss: the one the model was trained with, which says how its logits are read.

    Returns:
        Answer ids (N, K) and probabilities (N, K), best first; K is `most`, or the number of
        answers where that is smaller.
    """
    model.eval()
    found = []
    for batch in batches.in_order():
        logits = model(batch.image, batch.question).float()
        found.append(probabilities(logits, loss).topk(min(most, logits.shape[1]), dim=1))
    chances, ids = (torch.cat(part).cpu() for part in zip(*found, strict=True))
    return ids, chances
