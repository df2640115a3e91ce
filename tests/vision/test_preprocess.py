"""Photograph files to squares of pixels: every mode, and every way in which a file can be bad."""

import io
import os
import struct
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from vqa_helpers.vision.preprocess import BadImage, decoding_threads, load_square

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


def test_the_centre_is_the_centre(tmp_path):
    pixels = np.zeros((30, 90, 3), dtype=np.uint8)
    pixels[:, :30, 0] = pixels[:, 30:60, 1] = pixels[:, 60:, 2] = 255
    square = load_square(saved(Image.fromarray(pixels), tmp_path / "a.png"), 30)
    assert (square == [0, 255, 0]).all()


def test_an_image_of_the_wanted_size_is_left_as_it_is(tmp_path):
    image = photograph(32, 32)
    assert (load_square(saved(image, tmp_path / "a.png"), 32) == np.asarray(image)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (3000, 2), (5, 7)])
def test_tiny_and_long_images(tmp_path, size):
    path = saved(Image.new("RGB", size, (255, 0, 0)), tmp_path / "a.png")
    assert (load_square(path, 32) == RED).all()
    path = saved(Image.new("RGB", size, (255, 0, 0)), tmp_path / "a.jpg")
    assert far(load_square(path, 32), np.array(RED)) < 3


def test_a_jpeg_decoded_at_a_fraction_looks_the_same(tmp_path):
    image = photograph(960, 640)
    jpeg = load_square(saved(image, tmp_path / "a.jpg", quality=95), 32)
    png = load_square(saved(image, tmp_path / "a.png"), 32)
    assert far(jpeg, png) < 2


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, [77, 77, 77]),
        ("1", 1, WHITE),
        ("LA", (77, 255), [77, 77, 77]),
        ("LA", (77, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 128), [255, 127, 127]),
        ("I;16", 77 * 256 + 9, [77, 77, 77]),
    ],
)
def test_modes_of_png(tmp_path, mode, colour, expected):
    path = saved(Image.new(mode, (8, 8), colour), tmp_path / "a.png")
    assert (load_square(path, 4) == expected).all()


def test_palettes_with_and_without_transparency(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert (load_square(saved(image, tmp_path / "a.png"), 4) == RED).all()
    assert (load_square(saved(image, tmp_path / "b.png", transparency=1), 4) == WHITE).all()
    assert (load_square(saved(image, tmp_path / "c.png", transparency=0), 4) == RED).all()
    half = load_square(saved(image, tmp_path / "d.png", transparency=bytes([255, 128])), 4)
    assert (half == [255, 127, 127]).all()
    assert (load_square(saved(image, tmp_path / "e.gif", transparency=1), 4) == WHITE).all()


def test_a_transparent_colour_without_a_channel_of_its_own(tmp_path):
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    assert (load_square(saved(image, tmp_path / "a.png", transparency=(255, 0, 0)), 4) == 255).all()


def test_16_bits_of_grey_keep_their_shades(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    square = load_square(saved(Image.fromarray(ramp), tmp_path / "a.png"), 8)
    assert square[0].mean() < 32 and 100 < square[4].mean() < 160 and square[7].mean() > 223


def test_cmyk(tmp_path):
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    assert far(load_square(path, 4), np.array(RED)) < 4


def test_grey_jpeg(tmp_path):
    path = saved(Image.new("L", (64, 64), 77), tmp_path / "a.jpg")
    assert far(load_square(path, 4), np.array([77, 77, 77])) < 2


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (load_square(path, 4) == RED).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, name):
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:16, :16, 0] = 255  # red above left
    exif = Image.Exif()
    exif[0x0112] = orientation
    square = load_square(saved(Image.fromarray(pixels), tmp_path / name, exif=exif), 32)
    # Where the camera says that the stored first row and column are (EXIF 2.3, tag 274).
    row, column = {
        1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)
    }[orientation]  # fmt: skip
    assert (square[8 + 16 * row, 8 + 16 * column] == RED).all()
    assert (square[:, :, 0] > 0).sum() == 256


def test_exif_rotation_of_a_large_jpeg(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photograph(640, 480)
    turned = image.transpose(Image.Transpose.ROTATE_270)
    path = saved(image, tmp_path / "a.jpg", exif=exif, quality=95)
    expected = load_square(saved(turned, tmp_path / "b.jpg", quality=95), 32)
    assert far(load_square(path, 32), expected) < 3


def refusal(path):
    with pytest.raises(BadImage) as caught:
        load_square(path, 32)
    assert str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_every_truncation_of_a_jpeg_is_refused(tmp_path, options):
    whole = saved(photograph(160, 120), tmp_path / "a.jpg", **options).read_bytes()
    path = tmp_path / "cut.jpg"
    for length in [*range(0, 700, 23), *range(700, len(whole) - 2, 61), len(whole) - 3]:
        path.write_bytes(whole[:length])
        refusal(path)


def test_every_truncation_of_a_png_is_refused(tmp_path):
    whole = saved(photograph(64, 48), tmp_path / "a.png").read_bytes()
    path = tmp_path / "cut.png"
    for length in range(0, len(whole) - 20, 97):
        path.write_bytes(whole[:length])
        refusal(path)


def test_what_is_no_image(tmp_path):
    assert refusal(tmp_path / "absent.jpg") == "the file is missing"
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "absent.jpg")
    assert refusal(tmp_path / "broken.jpg") == "the file is missing"
    (tmp_path / "empty.jpg").touch()
    assert refusal(tmp_path / "empty.jpg") == "is not an image"
    (tmp_path / "page.jpg").write_text("<html>404 Not Found</html>")
    assert refusal(tmp_path / "page.jpg") == "is not an image"
    (tmp_path / "folder.jpg").mkdir()
    refusal(tmp_path / "folder.jpg")


def png_of(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((20_000, 20_000), "decompression bomb"),
        ((11_000, 11_000), "11000 x 11000 pixels are too many"),  # Pillow alone would only warn
        ((8_000, 10_001), "8000 x 10001 pixels are too many"),
        ((1, 90_000_000), "too many"),
    ],
)
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, size, reason):
    (tmp_path / "a.png").write_bytes(png_of(*size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert reason in refusal(tmp_path / "a.png")


def test_mutated_files_are_read_or_refused_and_nothing_else(tmp_path):
    generator = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    files = []
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        content = io.BytesIO()
        photograph().save(content, kind, exif=exif)
        files.append(content.getvalue())
    path, refused = tmp_path / "a", 0
    for _ in range(600):
        content = bytearray(files[generator.integers(len(files))])
        for place in generator.integers(0, min(len(content), 300), size=generator.integers(1, 6)):
            content[place] = generator.integers(256)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert load_square(path, 16).shape == (16, 16, 3)
            except BadImage:
                refused += 1
    assert 100 < refused < 600


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


def test_an_unforeseen_error_of_the_decoder_is_a_bad_image(tmp_path, monkeypatch):
    path = saved(photograph(), tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: struct.unpack("b", b""))
    assert "requires a buffer of 1 bytes" in refusal(path)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
@pytest.mark.parametrize("yielding", [True, False])
def test_decoding_leaves_the_cores_to_a_network_on_them(yielding):
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    ours = priority()
    with decoding_threads(yielding=yielding) as threads:
        assert threads.submit(priority).result() == (19 if yielding else ours)
    assert priority() == ours
