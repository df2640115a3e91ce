"""Which file shows which image."""

import unicodedata

import pytest

from tests.data.making import picture, refusal, write
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.images import find_images


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder, wanted):
    images = find_images(folder, wanted).items()
    return {i: path.relative_to(folder).as_posix() for i, path in images}


def test_names_end_in_the_id_anywhere_below(tmp_path):
    names = {
        1: "1.jpg", 42: "a/COCO_val2014_000000000042.jpg", 3: "a/b/c/img-3.PNG", 7: "a/7.JPEG",
        8: "ünï 8.webp", 9: "9 (1)/x9.tiff",
    }  # fmt: skip
    put(tmp_path, *names.values())
    put(tmp_path, "11.txt", "12.json", "13a.jpg", ".14.jpg", ".hidden/15.jpg", "16", "x.jpg")
    put(tmp_path, "17.jpg", "17.png")  # nobody asks about it
    assert found(tmp_path, [*names, *range(11, 17)]) == names
    assert found(tmp_path / "absent", [1]) == {}


@pytest.mark.parametrize(
    "name",
    ["a.png", "a", "A.PNG", "./a.png", "p\\a.png", "/home/me/p/a.png", "https://x.org/img/p/a.png",
     "C:\\me\\p\\a.png", "../p/a.png", "img/p/a.png"],
)  # fmt: skip
def test_names_are_found_by_the_folders_that_both_have(tmp_path, name):
    put(tmp_path, "p/a.png", "other/ab.png")
    assert find_images(tmp_path, [], names={7: name}) == {7: tmp_path / "p/a.png"}
    assert find_images(tmp_path / "p", [], names={7: name}) == {7: tmp_path / "p/a.png"}


def test_a_name_in_another_folder_is_another_image(tmp_path):
    put(tmp_path, "val/1.png")
    assert find_images(tmp_path, [], names={7: "train/1.png"}) == {}
    assert find_images(tmp_path / "val", [], names={7: "train/1.png", 8: "val/1.png"}) == {}
    put(tmp_path, "train/1.png", "more/train/1.png", "a.png", "A.png")
    names = {7: "train/1.png", 8: "more/train/1.png", 9: "a.png", 10: "A.png", 11: "a"}
    assert find_images(tmp_path, [], names=names) == {
        7: tmp_path / "train/1.png", 8: tmp_path / "more/train/1.png",
        9: tmp_path / "a.png", 10: tmp_path / "A.png",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_written_as_one_letter_or_two(tmp_path, form):
    name = unicodedata.normalize("NFC" if form == "NFD" else "NFD", "höhle/Füße.png")
    put(tmp_path, unicodedata.normalize(form, "höhle/Füße.png"))
    assert [*find_images(tmp_path, [], names={7: name})] == [7]


@pytest.mark.parametrize("other", ["images/5.png", "images/005.jpg", "more/5.jpg", "images/b5.jpg"])
def test_two_files_of_one_id_are_refused(tmp_path, other):
    put(tmp_path, "images/5.jpg", other)
    line = refusal(find_images, tmp_path, [5])
    assert "image 5 could be" in line and other in line
    put(tmp_path, "6/test2014/COCO_test2014_000000000006.jpg")  # COCO's tests overlap
    put(tmp_path, "6/test2015/COCO_test2015_000000000006.jpg")
    assert find_images(tmp_path, [6])[6].parent.name == "test2014"


def test_linked_folders_are_searched_once_each(tmp_path):
    put(tmp_path, "store/1.jpg", "data/2.jpg")
    for link, target in (("images", "store"), ("again", "store"), ("circle", "data")):
        (tmp_path / "data" / link).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "data" / "3.jpg").symlink_to(tmp_path / "store" / "1.jpg")
    assert found(tmp_path / "data", [1, 2, 3]) == {1: "again/1.jpg", 2: "2.jpg", 3: "3.jpg"}


def test_numbers_that_begin_again_are_other_images(tmp_path):
    for split, count in (("train", 5), ("val", 3)):
        asked = [{"question_id": n, "image_id": n, "question": "What?"} for n in range(count)]
        said = [{"question_id": n, "multiple_choice_answer": split} for n in range(count)]
        write(tmp_path / f"questions_{split}.json", {"questions": asked})
        write(tmp_path / f"annotations_{split}.json", {"annotations": said})
    alone = read_folder(tmp_path)  # text alone: nothing says that 0 is not 0
    assert not alone.images
    for split, count in (("train", 5), ("val", 3)):
        for n in range(count):
            picture(tmp_path / "images" / split / f"CLEVR_{split}_{n:06d}.png")
    dataset = read_folder(tmp_path)
    assert len(dataset.images) == 8 and not dataset.missing_images()
    assert len(dataset.splits["validation"]) == 3
    for image_id in dataset.splits["validation"]["image_id"]:
        assert "_val_" in dataset.images[image_id].name
