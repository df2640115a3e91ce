"""What a user may choose about an experiment, and what "auto" then means.

Decides weights, image size, schedule and device; computes nothing.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from vqa_helpers.data.build import MOST_SEED
from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.model.config import Augmentation, Loss, Preset, Schedule
from vqa_helpers.model.presets import SMALL_DATASET
from vqa_helpers.training.step import PRECISIONS
from vqa_helpers.vision.encoders import DEFAULT_SIZE_PX

RANDOM_SIZE_PX = 64  # random weights see no detail


@dataclass(frozen=True)
class Options:
    """What a user may choose about an experiment.

    Attributes:
        weights: "imagenet", "random", a file, or "auto": random for the demo and offline,
            imagenet elsewhere.
        image_size_px: side of the square the network sees; 0 is 64 for random weights and the
            study's 512 for others.
        epochs: 0 is the schedule's own.
        schedule: "study", "small", or "auto": small below 20,000 train questions.
        offline: use the named stand-ins wherever a download would be needed.
        features: folder of the feature stores and sentence vectors.
        glove: a GloVe file; else it is looked for in `data/glove`.
        sentence_encoder: the folder of a SavedModel.
        word_order: "asked", or "sorted set": each question as the sorted set of its word ids, as
            two of the study's notebooks have it (for presets that learn words).
        device: "auto", or as torch spells it.
        loss: in place of the preset's, whose name then tells it.
        accumulate: parts a batch is computed in; 0 is the schedule's own.
        vision_rate: learning rate of the vision channel; 0 is the schedule's own.
        augmentation: of the photographs, for presets whose network runs inside the loop.
        recompute: the part of the vision network that learns saves memory and takes more time;
            the result is the same, and so no configuration names it.
        precision: of training: "float32", "bfloat16", or "auto", which is the GPU's better one.
    """

    weights: str = "auto"
    image_size_px: int = 0
    epochs: int = 0
    seed: int = 0
    schedule: str = "auto"
    offline: bool = False
    features: Path = Path("features")
    glove: Path | None = None
    sentence_encoder: Path | None = None
    word_order: str = "asked"
    device: str = "auto"
    loss: Loss | None = None
    accumulate: int = 0
    vision_rate: float = 0.0
    augmentation: Augmentation | None = None
    recompute: bool = False
    precision: str = "auto"

    def resolved(self, dataset: Dataset, preset: Preset | None = None) -> "Options":
        """The same with every "auto" decided; epochs and schedule only for a preset.

        Raises:
            InputError: for a choice outside its limits.
        """
        offline = self.offline or dataset.drawn is not None
        weights = self.weights
        if weights == "auto":
            weights = "random" if offline else "imagenet"
        size = self.image_size_px or (RANDOM_SIZE_PX if weights == "random" else DEFAULT_SIZE_PX)
        if not 32 <= size <= 2048:
            raise InputError(f"image size {size} px: use 32 to 2048")
        if self.epochs < 0:
            raise InputError(f"{self.epochs} epochs: use 1 or more, or 0 for the schedule's own")
        if not 0 <= self.seed <= MOST_SEED:
            raise InputError(f"seed {self.seed}: use 0 to {MOST_SEED}")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision {self.precision!r}: use {', '.join(PRECISIONS)}")
        schedule, epochs = self.schedule, self.epochs
        if schedule not in ("auto", "study", "small"):
            raise InputError(f"schedule {schedule!r}: use study, small or auto")
        if preset is not None:
            if schedule == "auto":
                schedule = "small" if len(dataset.splits["train"]) < SMALL_DATASET else "study"
            epochs = epochs or preset.schedule_named(schedule).epochs
            _refuse_vain_options(self, preset)
        return dataclasses.replace(
            self,
            offline=offline,
            weights=weights,
            image_size_px=size,
            schedule=schedule,
            epochs=epochs,
            device=pick_device(self.device),
        )

    def tuned(self, schedule: Schedule) -> Schedule:
        """A schedule with what was chosen in place of its own."""
        chosen = {
            "accumulate": self.accumulate,
            "vision_rate": self.vision_rate,
            "augmentation": self.augmentation,
        }
        return dataclasses.replace(schedule, **{name: it for name, it in chosen.items() if it})


def _refuse_vain_options(options: Options, preset: Preset) -> None:
    """Refuse what is out of its limits, or what this preset could not follow."""
    images, how = preset.images, options.augmentation
    if options.accumulate < 0:
        raise InputError(f"a batch in {options.accumulate} parts: use 1 or more")
    if not 0 <= options.vision_rate < float("inf"):
        raise InputError(f"vision rate {options.vision_rate}: use a number above 0")
    if how is not None and not (0 <= how.crop < 1 and 0 <= how.jitter <= 1):
        raise InputError(f"crop {how.crop}, jitter {how.jitter}: use 0 to 0.9, and 0 to 1")
    if how is not None and not (images and images.in_loop):
        raise InputError(
            f"{preset.name} sees stored features, which cannot be varied; choose a preset whose "
            "network runs inside the loop, such as 1.f or 1.fC"
        )
    if (options.vision_rate or options.recompute) and not (images and images.trained != "none"):
        raise InputError(
            f"{preset.name} trains no part of its vision channel; choose a preset that does, such "
            "as 1.f or 1.fC"
        )


def pick_device(device: str = "auto") -> str:
    """A GPU where there is one, or the device named.

    Raises:
        InputError: for a device this machine does not have.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=device).item()  # "meta" makes tensors that hold no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"device {device!r} cannot be used ({reason}); try cpu") from None
    return device
