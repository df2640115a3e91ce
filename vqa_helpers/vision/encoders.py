"""Images to vectors: torchvision networks, cut where the reference study cuts them.

A piece owns its normalisation and its width. Knows nothing of files, stores or configurations.
"""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from vqa_helpers.errors import InputError

WIDTHS = {"vgg16": 4096, "resnet18": 512, "resnet50": 2048}
DEFAULT_SIZE_PX = 512  # reference study

Trained = Literal["none", "last block", "all"]

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class VisionEncoder(nn.Module):
    """A convolutional network without its classifier.

    VGG16 ends after its second 4096-wide linear layer, before the ReLU; the ResNets end after
    their average pooling (reference study, vision channel).

    Args:
        name: "vgg16", "resnet18" or "resnet50".
        weights: "imagenet" (torchvision's, downloaded once and checked), "random" (seeded), or the
            file of a torchvision state dict.
        trained: which part learns; the batch-norm statistics of the rest stay frozen too.
        seed: of random weights.
        recompute: whether what lies between the blocks that learn is forgotten and computed again
            for the gradient: less memory for more time, the same gradient.

    Raises:
        InputError: for weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        name: str,
        weights: str = "random",
        trained: Trained = "none",
        seed: int = 0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if name not in WIDTHS:
            raise InputError(f"{name!r} is no vision encoder; there are {', '.join(WIDTHS)}")
        network = _network(name, weights, seed)
        if name == "vgg16":
            network.classifier = network.classifier[:4]
            last = network.features[24:]  # the fifth block of convolutions
        else:
            network.fc = nn.Identity()
            last = network.layer4
        self.network = network
        self.out_dim = WIDTHS[name]
        self.trained = trained
        self.recompute = recompute
        self._learning = {"none": [], "last block": [last], "all": [network]}[trained]
        network.requires_grad_(False)
        for part in self._learning:
            part.requires_grad_(True)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1), persistent=False)

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
        pixels = ((image.float() / 255 - self.mean) / self.std).to(self.dtype)
        learns = torch.is_grad_enabled() and self.trained != "none"
        with torch.set_grad_enabled(learns):
            if learns and self.recompute:
                return self._forward_twice(pixels)
            return self.network(pixels)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return next(self.network.parameters()).dtype

    def _forward_twice(self, pixels: Tensor) -> Tensor:
        """Block by block; of those that learn, only what goes in and comes out is kept."""
        for block in _blocks(self.network):
            if any(parameter.requires_grad for parameter in block.parameters()):
                twice = partial(_second_pass, block)
                pixels = checkpoint(block, pixels, use_reentrant=False, context_fn=twice)
            else:
                pixels = block(pixels)
        return pixels


def for_inference(encoder: VisionEncoder, dtype: torch.dtype = torch.float32) -> VisionEncoder:
    """A frozen copy that computes the same vectors faster, in `dtype`.

    Each batch norm is folded into the convolution before it, and the weights lie channels last, as
    decoded pixels do.
    """
    quick = copy.deepcopy(encoder).eval().requires_grad_(False)
    for part in list(quick.network.modules()):
        for (first, convolution), (second, norm) in pairwise(list(part.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, first, fuse_conv_bn_eval(convolution, norm))
                setattr(part, second, nn.Identity())
    quick.network.to(dtype=dtype, memory_format=torch.channels_last)
    return quick


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """What a network does, one block after another. Made when asked for: it owns its modules."""
    if isinstance(network, torchvision.models.VGG):
        start = 0
        for end, layer in enumerate(network.features, start=1):
            if isinstance(layer, nn.MaxPool2d):
                yield network.features[start:end]
                start = end
        yield nn.Sequential(network.avgpool, nn.Flatten(), network.classifier)
    else:
        yield nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        yield from chain(network.layer1, network.layer2, network.layer3, network.layer4)
        yield nn.Sequential(network.avgpool, nn.Flatten(), network.fc)


def _second_pass(block: nn.Module):
    """The contexts of a block's two passes: the second leaves batch-norm statistics alone, which
    have seen these images."""

    @contextmanager
    def held() -> Iterator[None]:
        norms = [module for module in block.modules() if isinstance(module, BatchNorm)]
        kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, norm.num_batches_tracked.clone()
        try:
            yield
        finally:
            for norm, (momentum, batches) in zip(norms, kept, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, batches

    return nullcontext(), held()


def _network(name: str, weights: str, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed the GPUs too
        network = torchvision.models.get_model(name, weights=None)
    if weights == "random":
        return network
    if weights == "imagenet":
        state = _imagenet(name)
    else:
        weights_source(name, weights)  # refuses a file that is not there
        state = _read_weights(Path(weights))
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
        # The last three: a file in the cache that is not whole; it is not checked there.
        what = (str(error) or type(error).__name__).split("\n")[0]
        raise InputError(
            f"the ImageNet weights of {name} could not be had ({what}); connect to the network, "
            f"put a whole {Path(weights.url).name} into {torch.hub.get_dir()}/checkpoints, or use "
            "--weights random"
        ) from None


def _read_weights(path: Path) -> dict[str, Tensor]:
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


def weights_label(weights: str) -> str:
    """How a store's folder names its weights: "imagenet", "random", or a file's name and hash."""
    if weights in ("imagenet", "random"):
        return weights
    return f"{Path(weights).stem}-{_file_sha256(Path(weights))[:8]}"


def weights_source(name: str, weights: str) -> str:
    """Which weights exactly, without building the network: what a store's identity is made of."""
    if name not in WIDTHS:
        raise InputError(f"{name!r} is no vision encoder; there are {', '.join(WIDTHS)}")
    if weights == "random":
        return f"random, seed 0, torch {torch.__version__.split('+')[0]}"
    if weights == "imagenet":
        return f"imagenet, {Path(_imagenet_weights(name).url).name}"
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"{path}: is no weights file; use imagenet, random, or a file that exists")
    return f"file, sha256 {_file_sha256(path)}"


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_sha256(encoder: nn.Module) -> str:
    """The sha256 of every weight, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
