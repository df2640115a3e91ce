"""Networks cut where the study cuts them: widths, weights, what learns and what stays frozen."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from vqa_helpers.errors import InputError
from vqa_helpers.vision import encoders
from vqa_helpers.vision.encoders import (
    WIDTHS,
    VisionEncoder,
    for_inference,
    weights_label,
    weights_sha256,
    weights_source,
)


def images(n=2, size_px=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size_px, size_px), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def encoder():
    return VisionEncoder("resnet18").eval()


@pytest.fixture(scope="module")
def other_state():
    """A torchvision state dict that no seed of ours gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        return torchvision.models.resnet18(weights=None).state_dict()


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_end_after_their_pooling(name):
    network = VisionEncoder(name).eval()
    vectors = network(images())
    assert vectors.shape == (2, network.out_dim) and network.out_dim == WIDTHS[name]
    assert (vectors >= 0).all() and not vectors.requires_grad  # a mean of ReLUs
    assert {"resnet18": 512, "resnet50": 2048}[name] == network.out_dim


@pytest.mark.slow  # its 138 million weights take seconds to draw
def test_vgg16_ends_at_its_second_wide_layer_before_the_relu():
    network = VisionEncoder("vgg16").eval()
    vectors = network(images())
    assert vectors.shape == (2, 4096) and network.out_dim == 4096
    assert (vectors < 0).any() and (vectors > 0).any()
    linears = [layer for layer in network.network.classifier if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [
        (25088, 4096), (4096, 4096)
    ]  # fmt: skip
    assert isinstance(network.network.classifier[-1], nn.Linear)
    fifth = VisionEncoder("vgg16", trained="last block")
    learning = [name for name, p in fifth.named_parameters() if p.requires_grad]
    # The fifth block: convolutions 24, 26 and 28 of torchvision's list.
    assert learning == [
        f"network.features.{i}.{k}" for i in (24, 26, 28) for k in ("weight", "bias")
    ]
    fifth.train()
    assert not any(layer.training for layer in fifth.network.classifier)  # no dropout there


def test_pixels_are_normalised_as_imagenet(encoder):
    seen = []
    handle = encoder.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    encoder(white)
    encoder(white * 0)
    handle.remove()
    # (1 - 0.485) / 0.229 and so on, by hand.
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)
    assert seen[1][0, :, 0, 0].tolist() == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-3)


def test_random_weights_follow_their_seed(encoder):
    again, other = VisionEncoder("resnet18"), VisionEncoder("resnet18", seed=1)
    assert weights_sha256(encoder) == weights_sha256(again) != weights_sha256(other)
    assert torch.equal(encoder(images()), again.eval()(images()))


def test_the_global_random_numbers_are_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    VisionEncoder("resnet18", seed=3)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_random_numbers_of_a_gpu_are_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(4, device="cuda")
    torch.manual_seed(7)
    VisionEncoder("resnet18", seed=3)
    assert torch.equal(torch.rand(4, device="cuda"), expected)


@pytest.mark.parametrize(
    ("trained", "learning"), [("none", set()), ("last block", {"layer4"}), ("all", None)]
)
def test_what_learns(trained, learning):
    network = VisionEncoder("resnet18", trained=trained)
    found = {n.split(".")[1] for n, p in network.named_parameters() if p.requires_grad}
    expected = {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert found == (expected if learning is None else learning)
    vectors = network.train()(images())
    assert vectors.requires_grad == (trained != "none")


def statistics(part):
    return [m.running_mean.clone() for m in part.modules() if isinstance(m, nn.BatchNorm2d)]


def same(a, b):
    return [torch.equal(x, y) for x, y in zip(a, b, strict=True)]


def test_frozen_batch_norms_keep_their_statistics_in_training():
    network = VisionEncoder("resnet18", trained="last block")
    body, last = network.network.layer3, network.network.layer4
    before, before_last = statistics(body), statistics(last)
    network.train()
    assert network.training and last.training and not body.training
    network(images(4, 64)).sum().backward()
    assert all(same(statistics(body), before))
    assert not any(same(statistics(last), before_last))
    assert last[0].conv1.weight.grad is not None and body[0].conv1.weight.grad is None
    network.eval()
    assert not network.training and not last.training


def test_a_frozen_network_is_the_same_in_training():
    network = VisionEncoder("resnet18")
    expected = network.eval()(images())
    before = statistics(network)
    assert torch.equal(network.train()(images()), expected)
    assert all(same(statistics(network), before))


def test_a_parent_that_trains_does_not_wake_it():
    network = VisionEncoder("resnet18")
    parent = nn.Sequential(network).train()
    assert not network.network.bn1.training and parent.training


@pytest.mark.parametrize("kind", ["pth", "safetensors", "nested.pt"])
def test_weights_of_a_file(tmp_path, encoder, other_state, kind):
    path = tmp_path / f"w.{kind}"
    if kind == "safetensors":
        save_file(other_state, path)
    else:
        torch.save({"state_dict": other_state} if "nested" in kind else other_state, path)
    loaded = VisionEncoder("resnet18", str(path))
    for name, value in other_state.items():
        if not name.startswith("fc."):
            assert torch.equal(loaded.network.state_dict()[name], value)
    assert weights_sha256(loaded) != weights_sha256(encoder)


def refusal(weights, name="resnet18"):
    with pytest.raises(InputError) as caught:
        VisionEncoder(name, str(weights))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_weights_files_that_cannot_be_used(tmp_path, other_state):
    assert "is no weights file; use imagenet, random, or a file" in refusal(tmp_path / "absent.pth")
    assert "is no weights file" in refusal(tmp_path)
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"w.{suffix}"
        for content in (b"", b"not weights", b"\x80\x02}q\x00.", bytes(1000)):
            path.write_bytes(content)
            message = refusal(path)
            assert message.startswith(f"{path}: ")
    path = tmp_path / "w.pth"
    torch.save(other_state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not a readable state dict" in refusal(path)
    torch.save([1, 2], path)
    assert "holds no state dict" in refusal(path)
    torch.save({1: torch.zeros(1)}, path)
    assert "holds no state dict" in refusal(path)
    torch.save(nn.Linear(2, 2), path)  # a whole module: loading it would run code
    assert "is not a readable state dict" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {},
        lambda state: {k: v for k, v in state.items() if k != "layer1.0.conv1.weight"},
        lambda state: {**state, "extra.weight": torch.zeros(1)},
        lambda state: {**state, "conv1.weight": torch.zeros(64, 3, 3, 3)},
        lambda state: {f"module.{k}": v for k, v in state.items()},
        lambda state: {**state, "conv1.weight": 5},
        lambda state: {"state_dict": 5},
    ],
)
def test_weights_that_do_not_fit(tmp_path, other_state, change):
    path = tmp_path / "w.pth"
    torch.save(change(other_state), path)
    assert f"{path}: does not fit resnet18" in refusal(path)


def test_an_encoder_of_another_name():
    with pytest.raises(InputError, match="'vgg19' is no vision encoder; there are vgg16, resnet18"):
        VisionEncoder("vgg19")


def test_a_checkpoint_cut_off_in_the_cache_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    name = encoders._imagenet_weights("resnet18").url.rsplit("/", 1)[1]
    for content in (b"", b"\x80\x02cut", bytes(100)):
        (cache / name).write_bytes(content)
        assert name in refusal("imagenet")


def test_without_a_network_the_remedies_are_named(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    message = refusal("imagenet")
    assert "Network is unreachable" in message and "--weights random" in message
    assert "resnet18-f37072fd.pth" in message and str(tmp_path) in message


def test_labels_and_sources_tell_weights_apart(tmp_path):
    path = tmp_path / "mine.v2.pth"
    path.write_bytes(b"abc")
    assert weights_label("imagenet") == "imagenet" and weights_label("random") == "random"
    assert weights_label(str(path)) == "mine.v2-ba7816bf"
    # sha256 of "abc", from the standard's own example.
    assert weights_source("resnet18", str(path)) == (
        "file, sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert weights_source("resnet18", "imagenet") == "imagenet, resnet18-f37072fd.pth"
    assert weights_source("resnet50", "imagenet") == "imagenet, resnet50-0676ba61.pth"
    assert "seed 0" in weights_source("resnet18", "random")


def test_the_hash_sees_every_weight():
    def linear(value):
        layer = nn.Linear(3, 2)
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
            layer.bias[1] = value
        return weights_sha256(layer)

    assert linear(0.0) == linear(0.0) != linear(2.0**-149)  # one bit


@pytest.mark.parametrize("name", WIDTHS)
def test_the_copy_for_inference_gives_the_same_vectors(name):
    encoder = VisionEncoder(name).eval()
    for part in encoder.modules():  # as training leaves them, not as they are born
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.2, 0.2)
    before = weights_sha256(encoder)
    quick = for_inference(encoder)
    image = torch.randint(256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        expected, got = encoder(image), quick(image)
    assert (got - expected).norm() < 1e-4 * expected.norm()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in quick.modules())
    assert weights_sha256(encoder) == before
    half = for_inference(encoder, torch.float16)
    assert half.dtype == torch.float16 and half.mean.dtype == torch.float32
