"""What several tests of pieces compute or write by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn


def affine(linear: nn.Linear, values: Tensor) -> Tensor:
    """What a linear layer makes of (…, in_features)."""
    return values @ linear.weight.T + linear.bias


def write_glove(folder: Path, vectors: Mapping[str, Sequence[float]]) -> Path:
    """A text of word vectors, as GloVe publishes them."""
    lines = [" ".join([word, *map(str, numbers)]) for word, numbers in vectors.items()]
    path = folder / "glove.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
