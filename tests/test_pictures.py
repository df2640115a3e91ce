"""Which files are taken for pictures, and how large one may be."""

import warnings

import pytest
from PIL import Image

from vqa_helpers.data.images import find_images
from vqa_helpers.features.pixels import load_square
from vqa_helpers.pictures import SUFFIXES, open_picture, why_unreadable

KINDS = "jpg jpeg jpe jfif png apng gif bmp tif tiff webp avif jp2 j2k ppm pgm tga ico qoi".split()


@pytest.mark.parametrize("kind", [*KINDS, "mpo", "JFIF"])
def test_every_file_that_pillow_opens_is_a_picture_of_the_dataset(tmp_path, kind):
    image = Image.linear_gradient("L").convert("RGB")  # black above, white below
    image.save(tmp_path / f"7.{kind}")
    path = find_images(tmp_path, [7])[7]
    assert path.name == f"7.{kind}" and why_unreadable(path) is None
    rows = load_square(path, 8).mean(axis=(1, 2))
    assert rows == pytest.approx([16 + 32 * row for row in range(8)], abs=5.9)


def test_pages_films_and_tables_are_no_pictures(tmp_path):
    assert not SUFFIXES & {"", *".pdf .eps .ps .mpg .h5 .hdf .wmf .txt .json".split()}
    # What Ghostscript would run, whatever it is called.
    page = tmp_path / "1.jpg"
    Image.new("RGB", (8, 8)).save(page, "EPS")
    assert why_unreadable(page) == "cannot identify image file"
    Image.new("RGB", (8, 8)).save(page, "PNG")
    assert why_unreadable(page, ["JPEG"]) and not why_unreadable(page)


@pytest.mark.parametrize("size", [(12_000, 9_000), (16_384, 12_288)])
def test_a_telephones_photograph_is_decoded_at_an_eighth(tmp_path, size):
    path = tmp_path / "a.jpg"
    Image.new("L", size, 77).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_picture(path, 2 * 512) as image:
            assert image.size == (size[0] // 8, size[1] // 8)
        assert why_unreadable(path) is None
