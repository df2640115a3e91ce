"""Images to vectors: torchvision's networks, cut where the reference study cuts them, and any of timm.

A network runs once per image, and its stored vectors (`StoredFeatures`) or grid (`StoredGrid`) are
read, or inside the training loop (`NetworkInLoop`), where it can be trained. Knows nothing of files
of images or stores.
"""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, partial
from itertools import pairwise
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import networks
from vqa_helpers.pieces.choice import Piece

TRAINED = ("none", "last block", "all")
RANDOM_WEIGHTS = "random-weight vision"  # the control's name in tables

_SMALLEST_STD = 1e-6  # a feature that never varies in train carries nothing


class VisionEncoder(nn.Module):
    """A network without its classifier.

    VGG16 ends after its second 4096-wide linear layer, before the ReLU; the ResNets end after
    their average pooling (reference study, vision channel). A network of timm ends where timm has
    its pre-logits. Of a detector the vector is a bag of objects, and the grid regions.

    Args:
        network: "vgg16", "vgg19", "resnet18", "resnet50" (torchvision's), "efficientnet_lite0", "…lite2",
            a detector (`detectors.PUBLISHED`), or any name that timm knows.
        weights: as `find_weights` takes them.
        trained: which part learns: "none", "last block" or "all"; the batch-norm statistics of the
            rest stay frozen too.
        recompute: whether activations inside the blocks that learn are forgotten and computed
            again for the gradient: less memory for more time, the same gradient.
        grid: whether it gives the grid before its pooling instead of the vector.

    Raises:
        InputError: for weights that cannot be had or do not fit.
    """

    def __init__(
        self, network: str, weights: str, trained: str = "none", recompute: bool = False,
        grid: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if trained not in TRAINED:
            raise InputError(f"trained={trained!r}: use one of {', '.join(TRAINED)}")
        weights = networks.find_weights(network, weights)
        name = networks.built_network(network, weights)
        facts = networks.facts_of(name)
        self.network = networks.load_network(name, weights)
        self.out_dim = facts.grid_width if grid else facts.width
        self.recompute, self.grid = recompute, grid
        networks.cut(self.network, name)
        self._blocks = partial(networks.blocks_of, name=name, grid=grid)
        if trained != "none" and name in networks.DETECTORS:
            raise InputError(f"{network}: a detector is not trained here; use trained=none")
        if recompute and name not in networks.TORCHVISION:
            raise InputError(f"{name}: recompute works for {', '.join(networks.STUDY)} alone")
        if weights not in networks.KINDS:
            networks.load_weights(self.network, name, Path(weights))
        self._learning = [] if trained == "none" else [self.network]
        if trained == "last block" and name in networks.STUDY:
            self._learning = self._blocks(self.network)[-2:-1]  # of convolutions
        elif trained == "last block":
            self._learning = _last_stage(self.network)
        self.network.requires_grad_(False)
        for part in self._learning:
            part.requires_grad_(True)
        mean, std = networks.normalisation(self.network)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.train()  # frozen batch norms keep their statistics from the first image on

    def train(self, mode: bool = True) -> "VisionEncoder":
        """Switch only the trained part: frozen batch norms keep their statistics."""
        super().train(False)
        for part in self._learning:
            part.train(mode)
        self.training = mode
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Encode images.

        Args:
            image: (B, 3, S, S) RGB, 0 to 255, uint8 or floats.

        Returns:
            (B, out_dim), not normalised; of a grid (B, K, out_dim), row by row from the top left.
        """
        dtype = next(self.network.parameters()).dtype
        values = ((image.float() / 255 - self.mean) / self.std).to(dtype)
        learns = torch.is_grad_enabled() and bool(self._learning)
        *blocks, head = self._blocks(self.network)
        with torch.set_grad_enabled(learns):
            for block in blocks if self.grid else [*blocks, head]:
                if learns and self.recompute and any(p.requires_grad for p in block.parameters()):
                    passes = partial(_passes, block)
                    values = checkpoint(block, values, use_reentrant=False, context_fn=passes)
                else:
                    values = block(values)
        return self._regions(values) if self.grid else values

    def _regions(self, values: Tensor) -> Tensor:
        """A network's last feature maps as (B, K, D), whatever their layout."""
        if not isinstance(values, Tensor):
            raise InputError(f"{type(self.network).__name__} has no grid; choose another network")
        if values.ndim == 3:  # a transformer's patches, (B, 1 + K, D) with the class's first
            before = values.shape[1] - isqrt(values.shape[1]) ** 2  # where it does not say how many
            return values[:, getattr(self.network, "num_prefix_tokens", before) :]
        if values.shape[-1] != self.out_dim or values.shape[1] == self.out_dim:
            values = values.permute(0, 2, 3, 1)  # (B, D, h, w) to (B, h, w, D)
        return values.flatten(1, 2)


class StoredFeatures(Piece):
    """The vectors of a frozen network, computed once per image and stored; L2-normalised here
    (reference study).

    Features of a network with random weights hardly vary about their mean, and L2 normalisation
    alone leaves nothing to learn from: they are first centred and scaled by the statistics of the
    train split (`standardise`), which are part of the model.

    Args:
        network: as `VisionEncoder` takes it.
        weights: as `find_weights` takes them.
        size_px: side of the square that the network sees; 0 is its own (512 for VGG16 and the
            ResNets, as in the study), or 64 for random weights.

    Attributes:
        weights: those it came to: "imagenet", "packaged", "random" or a file.
        source: which weights exactly.
        stand_in: what took the place of the network or its weights; None where nothing did.
    """

    stored = True
    grid = False

    def __init__(self, network: str = "vgg16", weights: str = "auto", size_px: int = 0) -> None:
        super().__init__()
        self.network, self.weights = network, networks.find_weights(network, str(weights))
        if size_px:
            require_size(size_px)
        self.size_px = size_px or networks.own_size(network, self.weights)
        name = networks.built_network(network, self.weights)
        facts = networks.facts_of(name)
        _require_that_it_takes(name, self.size_px)
        self.source = networks.weights_source(network, self.weights)
        self.stand_in = RANDOM_WEIGHTS if self.weights == "random" else None
        if name != network:
            self.stand_in = f"{facts.title} for {networks.STUDY[network].title}"
        self.standardised = self.weights == "random"
        self.out_dim = facts.grid_width if self.grid else facts.width
        self.register_buffer("mean", torch.zeros(self.out_dim))
        self.register_buffer("std", torch.ones(self.out_dim))

    def standardise(self, features: Tensor) -> None:
        """Take the statistics of train features (I, out_dim) or (I, K, out_dim)."""
        values = features.float().flatten(0, -2)
        std = values.std(dim=0, correction=0)
        self.mean.copy_(values.mean(dim=0))
        self.std.copy_(torch.where(std < _SMALLEST_STD, torch.ones_like(std), std))

    def forward(self, image: Tensor) -> Tensor:
        """Stored vectors (B, out_dim), or (B, K, out_dim), to the same, each of length one."""
        return normalize((image.float() - self.mean) / self.std, dim=-1)


class StoredGrid(StoredFeatures):
    """The grid of a frozen network, a vector for each of K places of the image, computed once per
    image and stored: (B, K, out_dim). For fusions with attention.

    Args:
        network, weights, size_px: as `StoredFeatures` takes them; K grows with the square of the
            size (49 for EfficientNet-Lite0 at 224 px).
    """

    grid = True


class NetworkInLoop(StoredFeatures):
    """A network that runs inside the training loop, so that it, or its last block, can be trained
    (reference study, Model100, 1.f and 1.fC).

    Args:
        network, weights, trained, recompute: as `VisionEncoder` takes them.
        size_px: as `StoredFeatures` takes it.
    """

    stored = False

    def __init__(
        self, network: str = "vgg16", weights: str = "auto", size_px: int = 0,
        trained: str = "none", recompute: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(network, weights, size_px)
        self.trained = trained
        self.recompute = recompute
        # A network that learns finds its own scale.
        self.standardised = self.standardised and trained == "none"
        self.encoder = VisionEncoder(network, self.weights, trained, recompute)

    def forward(self, image: Tensor) -> Tensor:
        """Pixels (B, 3, S, S), 0 to 255, to (B, out_dim), each of length one."""
        return super().forward(self.encoder(image))

    def frozen(self) -> tuple[str, ...]:
        """The parts that a saved model leaves out, because the source of their weights restores
        them."""
        return ("encoder.",) if self.trained == "none" else ()


def for_inference(encoder: VisionEncoder, half: bool = False) -> VisionEncoder:
    """A frozen copy that computes the same vectors faster.

    Each batch norm is folded into the convolution before it, and the weights lie channels last, as
    decoded pixels do.

    Args:
        half: whether it computes in bfloat16; the vectors then differ by some percent of their
            length (docs/machines.md).
    """
    quick = copy.deepcopy(encoder).eval().requires_grad_(False)
    for part in list(quick.network.modules()):
        for (first, convolution), (second, norm) in pairwise(list(part.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, first, fuse_conv_bn_eval(convolution, norm))
                # timm's batch norms hold the activation that follows
                setattr(part, second, getattr(norm, "act", nn.Identity()))
    quick.network.to(torch.bfloat16 if half else None, memory_format=torch.channels_last)
    return quick


def weights_sha256(encoder: nn.Module) -> str:
    """The sha256 of every weight, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def require_size(size_px: int) -> None:
    """Refuse squares that show nothing, or that no machine holds."""
    if not 32 <= size_px <= 2048:
        raise InputError(f"image size {size_px} px: use 32 to 2048")


@cache
def _require_that_it_takes(network: str, size_px: int) -> None:
    """Refuse squares that a timm network cannot take, as a forward pass on the meta device
    shows."""
    facts = networks.facts_of(network)
    if network in networks.NETWORKS or size_px == facts.size_px:
        return
    if not facts.fixed:
        with suppress(Exception), torch.device("meta"):  # each network has errors of its own
            VisionEncoder(network, "random")(torch.empty(1, 3, size_px, size_px))
            return
    line = f"{network} sees squares of {facts.size_px} px, not {size_px}; leave its size"
    raise InputError(f"{line}, or use --image-size {facts.size_px}")


def _last_stage(network: nn.Module) -> list[nn.Module]:
    """The parts of a timm network after the last stage but one, each as named_modules has it."""
    stages = list(getattr(network, "feature_info", []))
    before = stages[-2]["module"] if len(stages) > 1 else None
    names = [name for name, _ in network.named_modules()]
    if before not in names:
        raise InputError("trained='last block': timm does not say where it begins; use none or all")
    after = names[names.index(before) + 1 :]
    return [network.get_submodule(name) for name in after if not name.startswith(f"{before}.")]


def _passes(block: nn.Module):
    """The contexts of a checkpointed block's two passes: the second leaves the statistics of batch
    norms alone, which have seen these images."""

    @contextmanager
    def held() -> Iterator[None]:
        norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
        kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, norm.num_batches_tracked.clone()
        try:
            yield
        finally:
            for norm, (momentum, batches) in zip(norms, kept, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, batches

    return nullcontext(), held()
