"""A recipe is an experiment as data: four pieces, a schedule, and where its numbers come from.

It can be changed from outside (`with_`, `--set`), and says exactly what was changed.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_type_hints

from torch import nn

from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import SLOTS, Choice, find_class, nearest, read_value
from vqa_helpers.pieces.networks import is_network, network_names
from vqa_helpers.pieces.vision import StoredFeatures

OPTIMISERS = ("adam", "adamw", "rmsprop")
LOSSES = ("cross entropy", "weighted cross entropy", "soft cross entropy", "binary cross entropy")
PRECISIONS = ("float32", "bfloat16", "auto")
SMALL_DATASET = 20_000  # train questions under which the small schedule is the default


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes:
        optimiser: "adam", "adamw" or "rmsprop".
        batch: questions a step.
        decay, decay_every: the learning rates are multiplied by `decay` every so many epochs.
        step_decay: the same after every step.
        clamp: gradients below -clamp or above it are set to that; None leaves them.
        loss: one of `LOSSES`; `training.losses` says what each is.
        accumulate: parts of a batch that are computed one after another, for less memory; the
            gradient is that of the undivided batch, but for batch normalisation.
        vision_rate: learning rate of the vision piece; None is that of the rest.
        flip, crop, jitter: how photographs are varied, for a network inside the loop
            (`training.augment`).
        precision: of matrix products, "float32" or "bfloat16"; "auto" is the data's (`open_data`).

    Raises:
        InputError: for a number outside its limits.
    """

    optimiser: str
    learning_rate: float
    batch: int
    epochs: int
    decay: float = 1.0
    decay_every: int = 1
    step_decay: float = 1.0
    clamp: float | None = None
    loss: str = "cross entropy"
    accumulate: int = 1
    vision_rate: float | None = None
    flip: bool = False
    crop: float = 0.0
    jitter: float = 0.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        words = {"optimiser": OPTIMISERS, "loss": LOSSES, "precision": PRECISIONS}
        for name, known in words.items():
            if (value := getattr(self, name)) not in known:
                raise InputError(f"{name} {value!r} is none of them; {nearest(value, known)}")
        rates, counts = ("learning_rate", "decay", "step_decay"), ("batch", "epochs", "accumulate")
        for name in (*rates, *counts, "decay_every"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name)}: use a number above 0")
        for name in ("vision_rate", "clamp"):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} {value}: use a number above 0, or none")
        if not (0 <= self.crop < 1 and 0 <= self.jitter <= 1):
            raise InputError(f"crop {self.crop}, jitter {self.jitter}: use 0 to 0.9, and 0 to 1")

    @property
    def augments(self) -> bool:
        """Whether photographs are varied."""
        return bool(self.flip or self.crop or self.jitter)


_TRAINING = get_type_hints(Training)


@dataclass(frozen=True)
class Recipe:
    """An experiment: the pieces, how they are trained, and where the numbers come from.

    Attributes:
        name: the preset's, and what was changed.
        source: the place that the numbers copy.
        vision: None for a model that sees no image.
        language: None for a model that reads no question.
        training: the source's own schedule.
        small: the one for datasets far smaller than the source's.
        dataset: the catalogue's name of the dataset the study used.
        preset: the recipe that this one changes; None for a preset itself.
    """

    name: str
    source: str
    vision: Choice | None
    language: Choice | None
    fusion: Choice
    classifier: Choice
    training: Training
    small: Training
    dataset: str = "100k"
    preset: "Recipe | None" = field(default=None, repr=False, compare=False)

    @property
    def choices(self) -> dict[str, Choice | None]:
        """The four pieces, by slot."""
        return {slot: getattr(self, slot) for slot in SLOTS}

    def schedule(self, train_questions: int) -> Training:
        """The source's own schedule, or for fewer than 20,000 train questions the small one."""
        return self.small if train_questions < SMALL_DATASET else self.training

    def with_(
        self, vision: str | Choice | None = None, language: str | Choice | None = None,
        fusion: str | Choice | None = None, classifier: str | Choice | None = None,
        set: Mapping[str, Any] | None = None, own: Mapping[str, type[nn.Module]] | None = None,
    ) -> "Recipe":  # fmt: skip
        """The same with other pieces, keywords or training numbers; its name says which.

        Args:
            vision, language, fusion, classifier: the name of a class or, for vision, of a network;
                or a choice.
            set: such as {"learning_rate": 3e-4, "fusion.width": 512}; texts are read as the command
                line's. "schedule": "study" or "small" takes that one whatever the size of the data.
            own: classes that are not the package's, by name.

        Raises:
            InputError: for a name that is none, naming the nearest, or a value of another type.
        """
        recipe = self
        swaps = {"vision": vision, "language": language, "fusion": fusion, "classifier": classifier}
        for slot, wanted in swaps.items():
            if wanted:
                recipe = replace(recipe, **{slot: recipe._swapped(slot, wanted, own or {})})
        for key, value in (set or {}).items():
            recipe = recipe._set(key, value)
        preset = self.preset or self
        changes = differences(preset, recipe.choices)
        for schedule in (recipe.training, recipe.small):
            changes |= training_differences(schedule, (preset.training, preset.small))
        return replace(recipe, preset=preset, name=named(preset.name, changes))

    def _swapped(
        self, slot: str, wanted: str | Choice, own: Mapping[str, type[nn.Module]]
    ) -> Choice:
        if isinstance(wanted, Choice):
            return wanted
        if slot == "vision" and wanted not in own and is_network(wanted):
            return (self.vision or Choice(StoredFeatures)).with_(network=wanted)
        others = network_names() if slot == "vision" else ()
        present, choice = getattr(self, slot), Choice(find_class(slot, wanted, own, others))
        if present and present.made_by is choice.made_by:  # as the preset has it
            return present
        if slot != "vision":
            return choice
        network = self.vision and self.vision.keywords.get("network")  # another class, the same one
        keeps = network and "network" in choice.settable()
        return choice.with_(network=network) if keeps else choice

    def _set(self, key: str, value: Any) -> "Recipe":
        slot, _, keyword = key.rpartition(".")
        if slot in SLOTS:
            choice = getattr(self, slot)
            if choice is None:
                raise InputError(f"{key}: {self.name} has no {slot}; choose one with --{slot}")
            value = choice.read(keyword, value) if isinstance(value, str) else value
            return replace(self, **{slot: choice.with_(**{keyword: value})})
        if key == "schedule":
            if value not in ("study", "small"):
                raise InputError(f"schedule={value}: use study or small")
            chosen = self.training if value == "study" else self.small
            return replace(self, training=chosen, small=chosen)
        if key not in _TRAINING:
            raise InputError(f"{key!r} cannot be set; {nearest(key, self.settable())}")
        value = read_value(key, str(value), _TRAINING[key])  # 2.5 questions a batch are none
        training, small = (replace(one, **{key: value}) for one in (self.training, self.small))
        return replace(self, training=training, small=small)

    def value_of(self, key: str) -> Any:
        """What `set` has set; None for "schedule", which is no value."""
        slot, _, keyword = key.rpartition(".")
        return self.choices[slot].keywords[keyword] if slot else getattr(self.training, key, None)

    def settable(self) -> list[str]:
        """Every word that `set` knows."""
        chosen = {slot: choice for slot, choice in self.choices.items() if choice}
        keywords = [f"{slot}.{name}" for slot, c in chosen.items() for name in c.settable()]
        return ["schedule", *_TRAINING, *keywords]


def differences(
    preset: Recipe,
    choices: Mapping[str, Choice | None],
    usual: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, str]:
    """How pieces differ from those of a preset, as the command line spells it.

    Args:
        usual: slot to the keywords that the data decide, such as `weights`, where a preset leaves
            them open.
    """
    found = {}
    for slot in SLOTS:
        ours, theirs = choices[slot], getattr(preset, slot)
        same = (ours and ours.made_by) is (theirs and theirs.made_by)
        if not same:
            found[slot] = ours.made_by.__name__ if ours else "none"
        if ours is None:
            continue
        expected = Choice(ours.made_by).all_keywords() | dict((usual or {}).get(slot, {}))
        expected |= theirs.keywords if same else {}
        for name, value in ours.all_keywords().items():
            if spell(value) != spell(expected.get(name)):
                network = same and (slot, name) == ("vision", "network")
                found["vision" if network else f"{slot}.{name}"] = spell(value)
    return found


def training_differences(training: Training, usual: Sequence[Training]) -> dict[str, str]:
    """How a schedule differs from the nearest of the usual ones, which is the one that was
    changed."""
    numbers = asdict(training).items()
    each = [{k: spell(v) for k, v in numbers if v != getattr(one, k)} for one in usual]
    return min(each, key=len)


def named(preset: str, changes: Mapping[str, str]) -> str:
    """A recipe's name: the preset's, and what differs."""
    return "+".join([preset, *(f"{key}={value}" for key, value in sorted(changes.items()))])


def folder_name(name: str) -> str:
    """The folder that a run of that name lies in: as short as a file system needs it, and without
    the signs of a path, which the names of published models hold."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return re.sub(r"[:/\\]+", "-", name if len(name) <= 120 else f"{name[:120]}+{digest}")


def spell(value: Any) -> str:
    """A value as spelled in a recipe's name: as short as can be read back, and valid in a folder
    name."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "-".join(map(spell, value)) or "none"
    text = str(value)
    if isinstance(value, float) and float(f"{value:g}") == value:
        text = f"{value:g}"
    return re.sub(r"[^\w.+-]+", "-", text)


def read_settings(words: Sequence[str]) -> list[dict[str, str]]:
    """Every combination of `NAME=VALUE[,VALUE…]` words; commas inside brackets or
    parentheses belong to a value.

    Raises:
        InputError: for a word without "=", or a name given twice.
    """
    combinations: list[dict[str, str]] = [{}]
    for word in words:
        name, equals, values = word.partition("=")
        if not (name and equals and values):
            raise InputError(f"{word}: use NAME=VALUE, such as learning_rate=3e-4")
        if name in combinations[0]:
            raise InputError(f"{word}: {name} is given twice; give several values as {name}=A,B")
        options = re.split(r",(?![^\[(]*[\])])", values)
        combinations = [{**chosen, name: value} for chosen in combinations for value in options]
    return combinations
