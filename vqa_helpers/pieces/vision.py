"""Images to vectors: torchvision networks, cut where the reference study cuts them.

A network runs once per image, and its stored vectors are read (`StoredFeatures`), or inside the
training loop (`NetworkInLoop`), where it may learn. Knows nothing of files of images or stores.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from vqa_helpers.errors import InputError
from vqa_helpers.files import sha256_of
from vqa_helpers.pieces.choice import Piece, nearest

TRAINED = ("none", "last block", "all")
RANDOM_WEIGHTS = "random-weight vision"  # the stand-in's name in tables

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_SMALLEST_STD = 1e-6  # a feature that never varies in train carries nothing


@dataclass(frozen=True)
class Backbone:
    """A torchvision network and how it is cut.

    Attributes:
        width: of its vector.
        cut: takes the classifier off, in place.
        blocks: what it does, one block after another; the last but one is the last block of
            convolutions.
    """

    width: int
    cut: Callable[[nn.Module], None]
    blocks: Callable[[nn.Module], list[nn.Module]]


def _cut_vgg(network: nn.Module) -> None:
    network.classifier = network.classifier[:4]  # to the second 4096, before its ReLU


def _vgg_blocks(network: nn.Module) -> list[nn.Module]:
    pools = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
    convolutions = [network.features[a + 1 : b + 1] for a, b in pairwise([-1, *pools])]
    return [*convolutions, nn.Sequential(network.avgpool, nn.Flatten(), network.classifier)]


def _cut_resnet(network: nn.Module) -> None:
    network.fc = nn.Identity()


def _resnet_blocks(network: nn.Module) -> list[nn.Module]:
    first = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    return [first, *layers, nn.Sequential(network.avgpool, nn.Flatten(), network.fc)]


NETWORKS = {
    "vgg16": Backbone(4096, _cut_vgg, _vgg_blocks),
    "resnet18": Backbone(512, _cut_resnet, _resnet_blocks),
    "resnet50": Backbone(2048, _cut_resnet, _resnet_blocks),
}


class VisionEncoder(nn.Module):
    """A convolutional network without its classifier.

    VGG16 ends after its second 4096-wide linear layer, before the ReLU; the ResNets end after
    their average pooling (reference study, vision channel).

    Args:
        network: "vgg16", "resnet18" or "resnet50".
        weights: "imagenet" (torchvision's, downloaded once and checked), "random" (seed 0), or the
            file of a torchvision state dict.
        trained: which part learns: "none", "last block" or "all"; the batch-norm statistics of the
            rest stay frozen too.
        recompute: whether activations inside the blocks that learn are forgotten and computed
            again for the gradient: less memory for more time, the same gradient.

    Raises:
        InputError: for weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        network: str,
        weights: str = "random",
        trained: str = "none",
        recompute: bool = False,
    ) -> None:
        super().__init__()
        backbone = backbone_of(network)
        if trained not in TRAINED:
            raise InputError(f"trained={trained!r}: use one of {', '.join(TRAINED)}")
        self.network = _load(network, weights)
        backbone.cut(self.network)
        self.out_dim = backbone.width
        self.recompute = recompute
        *_, last, _ = backbone.blocks(self.network)
        self._learning = {"none": [], "last block": [last], "all": [self.network]}[trained]
        self._blocks = backbone.blocks
        self.network.requires_grad_(False)
        for part in self._learning:
            part.requires_grad_(True)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.train()  # frozen batch norms keep their statistics from the first image on

    def train(self, mode: bool = True) -> "VisionEncoder":
        """Switch the learning part alone: frozen batch norms keep their statistics."""
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
            (B, out_dim), not normalised.
        """
        dtype = next(self.network.parameters()).dtype
        pixels = ((image.float() / 255 - self.mean) / self.std).to(dtype)
        learns = torch.is_grad_enabled() and bool(self._learning)
        with torch.set_grad_enabled(learns):
            if not (learns and self.recompute):
                return self.network(pixels)
            for block in self._blocks(self.network):
                if any(parameter.requires_grad for parameter in block.parameters()):
                    pixels = checkpoint(
                        block, pixels, use_reentrant=False, context_fn=partial(_passes, block)
                    )
                else:
                    pixels = block(pixels)
            return pixels


class StoredFeatures(Piece):
    """The vectors of a frozen network, computed once per image and stored; L2-normalised here
    (reference study).

    Features of a network with random weights hardly vary about their mean, and L2 normalisation
    alone leaves nothing to learn from: they are first centred and scaled by the statistics of the
    train split (`standardise`), which are part of the model.

    Args:
        network, weights: as `VisionEncoder` takes them.
        size_px: side of the square that the network sees (512 in the reference study).

    Attributes:
        source: which weights exactly.
        stand_in: what took the place of trained weights; None where nothing did.
    """

    stored = True

    def __init__(
        self, network: str = "vgg16", weights: str = "imagenet", size_px: int = 512
    ) -> None:
        super().__init__()
        self.network, self.weights, self.size_px = network, str(weights), size_px
        self.source = weights_source(network, self.weights)
        self.stand_in = RANDOM_WEIGHTS if weights == "random" else None
        self.standardised = weights == "random"
        self.out_dim = backbone_of(network).width
        self.register_buffer("mean", torch.zeros(self.out_dim))
        self.register_buffer("std", torch.ones(self.out_dim))

    def standardise(self, features: Tensor) -> None:
        """Take the statistics of train features (I, out_dim)."""
        values = features.float()
        std = values.std(dim=0, correction=0)
        self.mean.copy_(values.mean(dim=0))
        self.std.copy_(torch.where(std < _SMALLEST_STD, torch.ones_like(std), std))

    def forward(self, image: Tensor) -> Tensor:
        """Stored vectors (B, out_dim) to the same, each of length one."""
        return normalize((image.float() - self.mean) / self.std, dim=-1)


class NetworkInLoop(StoredFeatures):
    """A network that runs inside the training loop, so that it, or its last block, may learn
    (reference study, Model100, 1.f and 1.fC).

    Args:
        network, weights, trained, recompute: as `VisionEncoder` takes them.
        size_px: side of the square that the network sees.
    """

    stored = False

    def __init__(
        self,
        network: str = "vgg16",
        weights: str = "imagenet",
        size_px: int = 512,
        trained: str = "none",
        recompute: bool = False,
    ) -> None:
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
        """The parts that a saved model leaves out: their weights' own source gives them back."""
        return ("encoder.",) if self.trained == "none" else ()


def for_inference(encoder: VisionEncoder) -> VisionEncoder:
    """A frozen copy that computes the same vectors faster.

    Each batch norm is folded into the convolution before it, and the weights lie channels last, as
    decoded pixels do.
    """
    quick = copy.deepcopy(encoder).eval().requires_grad_(False)
    for part in list(quick.network.modules()):
        for (first, convolution), (second, norm) in pairwise(list(part.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, first, fuse_conv_bn_eval(convolution, norm))
                setattr(part, second, nn.Identity())
    quick.network.to(memory_format=torch.channels_last)
    return quick


def backbone_of(network: str) -> Backbone:
    """The backbone of that name.

    Raises:
        InputError: for none, naming the nearest.
    """
    if network not in NETWORKS:
        raise InputError(f"{network!r} is no vision network; {nearest(network, NETWORKS)}")
    return NETWORKS[network]


def weights_label(weights: str) -> str:
    """How a store's folder names its weights: "imagenet", "random", or a file's name and hash."""
    if weights in ("imagenet", "random"):
        return weights
    return f"{Path(weights).stem}-{sha256_of(Path(weights))[:8]}"


def weights_source(network: str, weights: str) -> str:
    """Which weights exactly, without building the network: what a store's identity is made of.

    Raises:
        InputError: for an unknown network, or a file that is not there.
    """
    backbone_of(network)
    if weights == "random":
        return f"random, seed 0, torch {torch.__version__.split('+')[0]}"
    if weights == "imagenet":
        return f"imagenet, {Path(_imagenet_weights(network).url).name}"
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"{path}: is no weights file; use imagenet, random, or a file that exists")
    return f"file, sha256 {sha256_of(path)}"


def weights_sha256(encoder: nn.Module) -> str:
    """The sha256 of every weight, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


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


def _load(name: str, weights: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` would seed the GPUs too
        network = torchvision.models.get_model(name, weights=None)
    if weights == "random":
        return network
    state = _imagenet(name) if weights == "imagenet" else _read_weights(name, Path(weights))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        what = " ".join(str(error).split()[:30])
        raise InputError(
            f"{weights}: does not fit {name} ({what} …); give a torchvision {name} state dict"
        ) from None
    return network


def _imagenet_weights(name: str) -> torchvision.models.WeightsEnum:
    return torchvision.models.get_model_weights(name).IMAGENET1K_V1  # those of the study's year


def _imagenet(name: str) -> dict[str, Tensor]:
    weights = _imagenet_weights(name)
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        # The last three: a file in the cache that is not complete; it is not checked there.
        what = (str(error) or type(error).__name__).split("\n")[0]
        raise InputError(
            f"the ImageNet weights of {name} could not be had ({what}); connect to the network, "
            f"put {Path(weights.url).name} into {torch.hub.get_dir()}/checkpoints, or use "
            "--weights random"
        ) from None


def _read_weights(name: str, path: Path) -> dict[str, Tensor]:
    weights_source(name, str(path))  # refuses a file that is not there
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own errors; all mean the same to the user
        raise InputError(f"{path}: is not a readable state dict ({error})".split("\n")[0]) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise InputError(f"{path}: holds no state dict; save one with torch.save(net.state_dict())")
    return state
