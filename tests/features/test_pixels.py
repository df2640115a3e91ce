"""Photograph files to squares of pixels: every mode, and every way in which a file can be bad."""

import numpy as np
import pytest
from PIL import Image

from vqa_helpers.features import pixels
from vqa_helpers.features.pixels import BadImage, decode_ahead, file_mark, load_square

RED, WHITE = [255, 0, 0], [255, 255, 255]


def photograph(width=96, height=64, seed=0):
    """Smooth colours, as a JPEG keeps them."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def far(a, b):
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_resize_the_short_side_then_crop_the_centre(tmp_path):
    image = photograph(96, 64)
    square = load_square(saved(image, tmp_path / "a.png"), 32)
    assert square.shape == (32, 32, 3) and square.dtype == np.uint8
    # 96 x 64 scaled by a half is 48 x 32, whose centre is columns 8 to 40.
    two_steps = image.resize((48, 32), Image.Resampling.BILINEAR).crop((8, 0, 40, 32))
    assert far(square, np.asarray(two_steps)) < 0.5
    upright = load_square(saved(image.transpose(Image.Transpose.ROTATE_90), tmp_path / "b.png"), 32)
    assert far(np.rot90(square), upright) < 0.5
    large = photograph(960, 640)  # a JPEG is decoded at a fraction
    jpeg, png = (load_square(saved(large, tmp_path / f"a.{kind}"), 32) for kind in ("jpg", "png"))
    assert far(jpeg, png) < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (3000, 2), (5, 7)])
def test_tiny_and_long_images(tmp_path, size):
    path = saved(Image.new("RGB", size, (255, 0, 0)), tmp_path / "a.png")
    assert (load_square(path, 32) == RED).all()


def new(mode, colour):
    return Image.new(mode, (8, 8), colour)


def palette():
    image = new("P", 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    return image


GREY, PINK = [77, 77, 77], [255, 127, 127]
MODES = [
    (new("L", 77), {}, GREY),
    (new("1", 1), {}, WHITE),
    (new("LA", (77, 0)), {}, WHITE),
    (new("RGBA", (255, 0, 0, 128)), {}, PINK),
    (new("RGB", "red"), {"transparency": (255, 0, 0)}, WHITE),
    (new("I;16", 77 * 256 + 9), {}, GREY),
    (palette(), {}, RED),
    (palette(), {"transparency": 1}, WHITE),
    (palette(), {"transparency": bytes([255, 128])}, PINK),
    (palette(), {"transparency": 1, "format": "GIF"}, WHITE),
    (new("CMYK", (0, 255, 255, 0)), {"format": "JPEG", "quality": 95}, RED),
    (new("F", -3), {"format": "TIFF"}, [0, 0, 0]),
]


@pytest.mark.parametrize(("image", "options", "expected"), MODES)
def test_every_mode_becomes_rgb(tmp_path, image, options, expected):
    square = load_square(saved(image, tmp_path / "a", **{"format": "PNG", **options}), 4)
    assert np.abs(square.astype(int) - expected).max() <= (4 if image.mode == "CMYK" else 0)


RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)


@pytest.mark.parametrize(
    "values",
    [
        *[(RAMP * (2**bits - 1)).astype(np.uint16) for bits in (8, 10, 12, 14, 16)],
        *[(RAMP * top).astype(np.float32) for top in (1, 255, 1020, 1e6)],
        *[(RAMP * top - 1000).astype(np.int32) for top in (300, 1e9)],  # Hounsfield units
        (RAMP * 100 + 30_000).astype(np.uint16),  # all shades close to each other
        *[np.where(RAMP < 0.001, odd, RAMP).astype(np.float32) for odd in (np.nan, -np.inf)],
    ],
)
def test_deep_grey_keeps_its_contrast(tmp_path, values):
    square = load_square(saved(Image.fromarray(values), tmp_path / "a.tif"), 8)
    assert square[0].mean() < 32 and 100 < square[4].mean() < 160 and square[7].mean() > 223


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:16, :16, 0] = 255  # red above left
    exif = Image.Exif()
    exif[0x0112] = orientation
    square = load_square(saved(Image.fromarray(pixels), tmp_path / "a.png", exif=exif), 32)
    # Where the camera says that the stored first row and column are (EXIF 2.3, tag 274).
    row, column = {
        1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)
    }[orientation]  # fmt: skip
    assert (square[8 + 16 * row, 8 + 16 * column] == RED).all()
    assert (square[:, :, 0] > 0).sum() == 256


def refusal(path):
    with pytest.raises(BadImage) as caught:
        load_square(path, 32)
    assert str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})]
)
def test_every_truncation_is_refused(tmp_path, kind, options):
    path = saved(photograph(160, 120), tmp_path / "cut", format=kind, **options)
    intact = path.read_bytes()
    for length in [*range(0, 700, 23), *range(700, len(intact) - 20, 97)]:
        path.write_bytes(intact[:length])
        refusal(path)


def test_what_is_no_image(tmp_path):
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "absent.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>404 Not Found</html>")
    (tmp_path / "folder.jpg").mkdir()
    saved(Image.new("F", (8, 8), float("nan")), tmp_path / "no_number.tif")
    for name, reason in (
        ("absent.jpg", "the file is missing"), ("broken.jpg", "the file is missing"),
        ("empty.jpg", "is not an image"), ("page.jpg", "is not an image"),
        ("folder.jpg", "is a folder"), ("no_number.tif", "holds no finite number"),
    ):  # fmt: skip
        assert refusal(tmp_path / name) == reason


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ("40000 40000", "decompression bomb"),
        ("20000 20000", "20000 x 20000 pixels are too many"),
        ("11000 11000", "11000 x 11000 pixels are too many"),
        ("1 90000000", "too many"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, size, reason):
    (tmp_path / "a.pgm").write_text(f"P5 {size} 255\n")
    assert reason in refusal(tmp_path / "a.pgm")


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_read_or_refused_and_nothing_else(tmp_path):
    generator, refused = np.random.default_rng(0), 0
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    path, kinds = tmp_path / "a", ("JPEG", "PNG", "GIF", "BMP", "WEBP")
    intact = [saved(photograph(), path, format=kind, exif=exif).read_bytes() for kind in kinds]
    for number in range(300):
        content = bytearray(intact[number % len(kinds)])
        for place in generator.integers(0, min(len(content), 300), size=generator.integers(1, 6)):
            content[place] = generator.integers(256)
        path.write_bytes(content)
        try:
            assert load_square(path, 16).shape == (16, 16, 3)
        except BadImage:
            refused += 1
    assert 50 < refused < 300


@pytest.mark.parametrize("tag", [0x0100, 0x011A, 0x0154])  # whole numbers, a fraction, a float
def test_odd_camera_data_do_not_cost_the_image(tmp_path, tag):
    # A text under a tag of numbers: Pillow reads it, and cannot write it again.
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    image = photograph(64, 64)
    path = saved(image, tmp_path / "a.jpg", exif=exif, quality=95)
    content = path.read_bytes()
    assert b"\x01\x0e\x00\x02" in content
    path.write_bytes(content.replace(b"\x01\x0e\x00\x02", tag.to_bytes(2, "big") + b"\x00\x02"))
    turned = image.transpose(Image.Transpose.ROTATE_270)
    expected = load_square(saved(turned, tmp_path / "b.png"), 32)
    assert far(load_square(path, 32), expected) < 3


def test_files_are_decoded_in_order_and_not_long_before_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "THREADS", 1)
    path, left = saved(photograph(), tmp_path / "a.png"), list(range(60))
    paths = (path if left.pop() % 2 else tmp_path / "absent.png" for _ in range(60))
    decoded = decode_ahead(paths, 8, ahead=5, yielding=True)
    mark, square = next(decoded)
    assert mark == file_mark(path) and (square == load_square(path, 8)).all()
    assert isinstance(next(decoded)[1], BadImage)
    assert len(left) > 50
    assert len(list(decoded)) == 58


def test_the_mark_of_a_file_tells_changes(tmp_path):
    path, marks = tmp_path / "a", {file_mark(tmp_path / "absent")}
    content = bytearray(np.random.default_rng(0).bytes(50_000))
    for place in (0, 17_000, 34_000, -1):
        content[place] ^= 1
        path.write_bytes(content)
        marks.add(file_mark(path))
    path.write_bytes(content + b"x")
    assert len(marks | {file_mark(path)}) == 6
