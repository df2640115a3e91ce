"""Networks cut where the study cuts them: widths, weights, what learns and what stays frozen."""

import copy
import functools

import pytest
import torch
from torch import nn

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import vision
from vqa_helpers.pieces.vision import NetworkInLoop, StoredFeatures, VisionEncoder, weights_sha256


def images(n=2, size_px=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, size_px, size_px), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def encoder():
    return VisionEncoder("resnet18", "random").eval()


def test_pixels_are_normalised_as_imagenet(encoder):
    seen, first = [], encoder.network.conv1
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for level in (255, 0):
        encoder(torch.full((1, 3, 32, 32), level, dtype=torch.uint8))
    handle.remove()
    # (1 - 0.485) / 0.229 and so on, by hand.
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)
    assert seen[1][0, :, 0, 0].tolist() == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-3)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_random_weights_are_always_the_same_and_leave_global_random_numbers_alone(encoder, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    torch.manual_seed(7)
    expected = torch.rand(4, device=device)
    torch.manual_seed(7)
    again = VisionEncoder("resnet18", "random")
    assert torch.equal(torch.rand(4, device=device), expected)
    assert weights_sha256(encoder) == weights_sha256(again)
    assert torch.equal(encoder(images()), again.eval()(images()))


EVERY = {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}


@pytest.mark.parametrize(
    ("trained", "learning"), [("none", set()), ("last block", {"layer4"}), ("all", EVERY)]
)
def test_what_learns(trained, learning):
    network = VisionEncoder("resnet18", "random", trained=trained)
    assert {n.split(".")[1] for n, p in network.named_parameters() if p.requires_grad} == learning
    assert network.train()(images()).requires_grad == (trained != "none")
    with pytest.raises(InputError, match="trained='some': use one of none, last block, all"):
        VisionEncoder("resnet18", "random", trained="some")


@pytest.mark.parametrize(
    ("name", "convolutions"),  # of the last block, in torchvision's list
    [("vgg16", (24, 26, 28)), ("vgg19", (28, 30, 32, 34))],
)
def test_a_vgg_ends_at_its_second_wide_layer_and_learns_its_fifth_block(name, convolutions):
    with torch.device("meta"):  # its 138 million weights take seconds to draw
        network = VisionEncoder(name, "random", trained="last block").train()
    kinds = [type(layer).__name__ for layer in network.network.classifier]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear"]
    assert network.network.classifier[-1].out_features == network.out_dim == 4096
    assert not any(layer.training for layer in network.network.classifier)  # no dropout there
    learning = {n.rpartition(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert learning == {f"network.features.{number}" for number in convolutions}


def statistics(part):
    return [m.running_mean.clone() for m in part.modules() if isinstance(m, nn.BatchNorm2d)]


def same(a, b):
    return [torch.equal(x, y) for x, y in zip(a, b, strict=True)]


def test_frozen_batch_norms_keep_their_statistics_in_training():
    network = VisionEncoder("resnet18", "random", trained="last block")
    body, last = network.network.layer3, network.network.layer4
    before, before_last = statistics(body), statistics(last)
    parent = nn.Sequential(network).train()  # a model that trains does not wake them
    assert parent.training and network.training and last.training and not body.training
    network(images(4, 64)).sum().backward()
    assert all(same(statistics(body), before))
    assert not any(same(statistics(last), before_last))
    assert last[0].conv1.weight.grad is not None and body[0].conv1.weight.grad is None
    network.eval()
    assert not network.training and not last.training


# Gradients with half the memory -----------------------------------------------------------------


@functools.cache
def built(name, trained):
    return VisionEncoder(name, "random", trained=trained)


def learnt(recompute, name, trained, precision):
    """Vectors, gradients and statistics of a network after a step in training."""
    network = copy.deepcopy(built(name, trained)).train()
    network.recompute = recompute
    torch.manual_seed(1)  # VGG16 has dropout
    with torch.autocast("cpu", precision, enabled=precision is not None):
        vectors = network(images(3, 64 if name == "resnet18" else 32))
    vectors.float().square().mean().backward()
    gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    return vectors.detach(), gradients, dict(network.named_buffers())


@pytest.mark.parametrize(
    ("name", "trained", "precision"),
    [
        ("resnet18", "all", None), ("resnet18", "last block", None),
        ("resnet18", "all", torch.bfloat16),
        pytest.param("vgg16", "all", None, marks=pytest.mark.slow),  # with its dropout
    ],
)  # fmt: skip
def test_recomputing_changes_nothing(name, trained, precision):
    vectors, gradients, buffers = learnt(False, name, trained, precision)
    again, same_gradients, same_buffers = learnt(True, name, trained, precision)
    assert torch.equal(again, vectors) and again.dtype == (precision or torch.float32)
    assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
    assert same_gradients.keys() == gradients.keys() and len(gradients) >= 6
    assert all(same(same_gradients.values(), gradients.values()))
    # Statistics that saw every image twice would not be the same.
    assert all(same(same_buffers.values(), buffers.values()))


def test_recomputing_keeps_less():
    def kept(recompute):
        """The bytes of activations that wait for the gradient."""
        network = VisionEncoder("resnet18", "random", trained="all", recompute=recompute).train()
        own = {tensor.data_ptr() for tensor in network.state_dict().values()}
        found = {}

        def pack(tensor):
            if tensor.data_ptr() not in own:
                found[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            vectors = network(images(2, 64))  # held until all is counted
        assert vectors.requires_grad
        return sum(found.values())

    assert kept(True) < 0.5 * kept(False)


NETWORKS = [
    ("vgg16", 4096), ("resnet18", 512), ("resnet50", 2048), ("efficientnet_lite0", 1280),
    ("mobilenetv3_small_100", 1024),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width"), NETWORKS)
def test_the_copy_for_inference_gives_the_same_vectors(name, width):
    encoder = copy.deepcopy(built(name, "none")).eval()
    for part in encoder.modules():  # as training leaves them, not as they are born
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.2, 0.2)
    before = weights_sha256(encoder)
    quick = vision.for_inference(encoder)
    with torch.inference_mode():
        expected, got = encoder(images(2, 48)), quick(images(2, 48))
    assert expected.shape == (2, width) and encoder.out_dim == width
    assert (got - expected).norm() < 1e-4 * expected.norm()
    means = name.startswith(("resnet", "efficientnet"))  # of ReLUs; the others end before one
    assert (expected >= 0).all() == means
    assert not any(isinstance(part, nn.BatchNorm2d) for part in quick.modules())
    assert weights_sha256(encoder) == before


@pytest.mark.parametrize("build", [VisionEncoder, StoredFeatures, NetworkInLoop])
@pytest.mark.parametrize(
    ("name", "meant"),
    [("vgg_61", "vgg1.* more$"), ("resnet50.tv_in1kk", r"resnet50\.tv_in1k or"), ("resnet50.", "")],
)
def test_a_network_of_another_name(build, name, meant):
    with pytest.raises(InputError, match=f"'{name}' is no vision network; did you mean {meant}"):
        build(name, "random")


# Networks of timm -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "places", "width"),
    [
        ("resnet18", 4, 512), ("efficientnet_lite0", 4, 1280), ("convnext_atto", 4, 320),
        ("vit_tiny_patch16_224", 196, 192), ("swin_tiny_patch4_window7_224", 49, 768),
        ("coat_lite_mini", 49, 512),  # does not say that the class goes first
    ],
)  # fmt: skip
def test_a_grid_is_what_the_network_pools(name, places, width):
    size = 64 if places == 4 else 224
    grid = VisionEncoder(name, "random", grid=True).eval()
    vectors = VisionEncoder(name, "random").eval()
    places_seen = grid(images(1, size))
    assert places_seen.shape == (1, places, width) and grid.out_dim == width
    if name in ("resnet18", "efficientnet_lite0"):
        assert torch.allclose(places_seen.mean(1), vectors(images(1, size)), rtol=1e-3, atol=1e-5)
    turned = grid(images(1, size).flip(-1))  # another picture, so other places
    assert not torch.allclose(turned, places_seen)


@pytest.mark.parametrize(
    ("name", "first"),
    [("efficientnet_lite0", "blocks.5"), ("convnext_atto", "stages.3"), ("resnet34", "layer4")],
)
def test_the_last_block_of_a_timm_network_begins_after_the_last_stage_but_one(name, first):
    with torch.device("meta"):
        network = VisionEncoder(name, "random", trained="last block")
    everything = [name for name, _ in network.network.named_parameters()]
    learning = [name for name, p in network.network.named_parameters() if p.requires_grad]
    assert learning[0].startswith(first)
    assert learning == everything[everything.index(learning[0]) :]
    alone = f"{name}: recompute works for vgg16, vgg19, resnet18, resnet50 alone"
    with pytest.raises(InputError, match=alone):
        VisionEncoder(name, "random", recompute=True)


def test_what_a_timm_network_does_not_have_is_one_line():
    line = "timm does not say where it begins; use none or all"
    with pytest.raises(InputError, match=line), torch.device("meta"):
        VisionEncoder("twins_pcpvt_small", "random", trained="last block")
    with pytest.raises(InputError, match="^CrossVit has no grid; choose another network$"):
        VisionEncoder("crossvit_9_240", "random", grid=True)(images(1, 240))


def test_squares_that_a_network_cannot_see():
    assert StoredFeatures("inception_v3", "random", 96).size_px == 96
    line = "inception_v3 sees squares of 299 px, not 64; leave its size, or use --image-size 299"
    for given in (64, 0):  # 64 is usual for random weights
        with pytest.raises(InputError, match=f"^{line}$"):
            StoredFeatures("inception_v3", "random", given)


# Vectors before they meet a question ------------------------------------------------------------


@pytest.fixture
def stored():
    return StoredFeatures("resnet18", "random", 32)


def test_a_network_in_the_loop_gives_what_is_stored_of_it(encoder, stored):
    frozen = NetworkInLoop("resnet18", "random", 32)
    assert torch.allclose(frozen.eval()(images()), stored(encoder(images())))
    learning = NetworkInLoop("resnet18", "random", 32, "last block")
    assert [piece.standardised for piece in (stored, frozen, learning)] == [True, True, False]
    assert {piece.stand_in for piece in (stored, frozen, learning)} == {vision.RANDOM_WEIGHTS}
    assert (frozen.frozen(), learning.frozen()) == (("encoder.",), ())


def test_vectors_of_length_one_centred_and_scaled_before(stored):
    vector = torch.zeros(1, 512)
    vector[0, :2] = torch.tensor([3.0, 4.0])
    assert stored(vector)[0, :3].tolist() == pytest.approx([0.6, 0.8, 0])
    # ((7, 4) - (1, 2)) / (2, 0.5) = (3, 4), of length 5.
    stored.mean[:2], stored.std[:2] = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.5])
    vector[0, :2] = torch.tensor([7.0, 4.0])
    assert stored(vector)[0, :2].tolist() == pytest.approx([0.6, 0.8])
    again = StoredFeatures("resnet18", "random", 32)  # the statistics are part of the model
    again.load_state_dict(stored.state_dict())
    assert torch.equal(again(vector), stored(vector)) and not list(stored.parameters())
    stored.standardise(torch.full((1000, 512), 60000, dtype=torch.float16))  # large half floats
    assert stored.mean[0] == pytest.approx(60000, rel=1e-3) and stored.std[0] == 1
    assert stored(torch.full((1, 512), 6e4, dtype=torch.float16)).isfinite().all()


def test_statistics_of_the_train_images_make_features_that_hardly_vary_distinct(stored):
    features = torch.tensor([[1.0, 5.0], [3.0, 5.0]]).repeat(1, 256)
    stored.standardise(features.half())
    assert stored.mean[:2].tolist() == [2.0, 5.0]
    assert stored.std[:2].tolist() == [1.0, 1.0]  # one that never varies keeps its scale
    generator = torch.Generator().manual_seed(0)
    features = 1 + 0.002 * torch.randn(50, 512, generator=generator)
    plain = StoredFeatures("resnet18", "random", 32)(features)
    stored.standardise(features)
    scaled = stored(features)
    assert (plain @ plain.T).min() > 0.999  # all but one direction
    assert (scaled @ scaled.T).fill_diagonal_(0).abs().max() < 0.7


@pytest.mark.parametrize("size_px", [-3, 1, 60_000])
def test_squares_that_show_nothing_or_fill_the_machine_are_refused(size_px):
    with pytest.raises(InputError, match=f"image size {size_px} px: use 32 to 2048"):
        StoredFeatures("resnet18", "random", size_px)
