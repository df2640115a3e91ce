"""Shards that check themselves, and rows found by image id."""

import json
import logging

import numpy as np
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.vision.features import (
    MANIFEST,
    FeatureStore,
    Shard,
    read_shard,
    write_shard,
)

IDS = [3, 7, 2**40, 8, 5]


def shard(ids, failed=None, width=4):
    ids = np.array(ids, dtype=np.int64)
    rows = np.stack([np.full(width, i % 1000, dtype=np.float16) for i in ids.tolist()])
    return Shard(ids, ids * 10, rows, failed or {})


@pytest.fixture
def store(tmp_path):
    """Ids 3, 7 and 2**40 in one shard, 5 and 8 in another, 6 failed."""
    parts = [shard([3, 7, 2**40]), shard([5, 8], {6: "is not an image"})]
    entries = []
    for number, part in enumerate(parts):
        name = f"shard-{number:05d}.safetensors"
        checksum = write_shard(tmp_path / name, part, "id")
        entries.append({"file": name, "rows": len(part.image_ids), "sha256": checksum})
    manifest = {
        "identity": "id", "width": 4, "shards": entries, "failed": {"6": "is not an image"}
    }  # fmt: skip
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    return FeatureStore(tmp_path)


def same(a, b):
    arrays = ("image_ids", "marks", "features")
    return a.failed == b.failed and all(
        np.array_equal(getattr(a, n), getattr(b, n)) and getattr(a, n).dtype == getattr(b, n).dtype
        for n in arrays
    )


def test_a_shard_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "s.safetensors"
    written = shard([1, 2], {-4: "größer", 9: "is not an image"})
    checksum = write_shard(path, written, "id")
    read = read_shard(path, "id")
    assert same(read, written) and read.checksum() == checksum == written.checksum()
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


def test_a_grid_of_features(tmp_path):
    grid = Shard(
        np.array([1, 2]), np.array([5, 5]), np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    )
    write_shard(tmp_path / "s.safetensors", grid, "id")
    assert read_shard(tmp_path / "s.safetensors", "id").features.shape == (2, 3, 4)


def test_the_bytes_of_a_shard_are_always_the_same(tmp_path):
    for name in ("a", "b"):
        write_shard(tmp_path / name, shard([1, 2], {7: "x", 5: "y"}), "id")
    write_shard(tmp_path / "c", shard([1, 2], {5: "y", 7: "x"}), "id")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_the_checksum_sees_every_part():
    whole = shard([1, 2], {3: "x"})
    others = [
        shard([1, 3], {3: "x"}),
        shard([1, 2], {3: "y"}),
        shard([1, 2]),
        Shard(whole.image_ids, whole.marks + 1, whole.features, whole.failed),
        Shard(whole.image_ids, whole.marks, whole.features + 1, whole.failed),
    ]
    assert len({part.checksum() for part in [whole, *others]}) == 6


def test_a_shard_of_another_origin_is_not_used(tmp_path, caplog):
    write_shard(tmp_path / "s", shard([1]), "id")
    with caplog.at_level(logging.WARNING):
        assert read_shard(tmp_path / "s", "other") is None
    assert "was made by another encoder" in caplog.text


def test_any_single_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "s"
    written = shard([1, 2], {3: "x"})
    write_shard(path, written, "id")
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 5):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            read = read_shard(path, "id")
            # White space in the header means nothing, so that a change of it may do no harm.
            assert read is None or same(read, written), (place, bit)


def test_any_truncation_is_noticed(tmp_path):
    path = tmp_path / "s"
    write_shard(path, shard([1, 2]), "id")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read_shard(path, "id") is None
    assert read_shard(tmp_path / "absent", "id") is None


def test_a_foreign_safetensors_file_is_no_shard(tmp_path):
    from safetensors.numpy import save_file

    arrays = {"weight": np.zeros(3, dtype=np.float32)}
    for metadata in (None, {"made": "[]"}, {"made": "{}"}, {"made": '{"failed": 5}'}, {"x": "y"}):
        save_file(arrays, tmp_path / "s", metadata)
        assert read_shard(tmp_path / "s", "id") is None


@pytest.mark.parametrize("ids", [IDS, IDS[::-1], sorted(IDS), [5], [2**40, 3]])
def test_rows_are_found_by_id_in_any_order(store, ids):
    rows, found = store.read(np.array(ids))
    assert rows.dtype == np.float16 and rows.shape == (len(ids), 4)
    assert rows[:, 0].tolist() == [i % 1000 for i in ids] and found.all()


def test_rows_that_are_not_there_are_zero_and_masked(store):
    rows, found = store.read(np.array([9, 5, 6, -1, 2**62, 3]))
    assert found.tolist() == [False, True, False, False, False, True]
    assert rows[:, 0].tolist() == [0, 5, 0, 0, 0, 3]
    assert store.failed == {6: "is not an image"} and store.width == 4


def test_no_id_at_all(store):
    rows, found = store.read(np.array([], dtype=np.int64))
    assert rows.shape == (0, 4) and found.shape == (0,)


def test_a_damaged_shard_of_a_finished_store_names_the_remedy(store):
    path = store.folder / "shard-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="shard-00001.safetensors: is damaged; run `vqa features`"):
        store.read(np.array([3]))
    path.unlink()
    with pytest.raises(InputError, match="shard-00001.safetensors: is damaged"):
        store.read(np.array([3]))


def test_a_store_without_a_whole_manifest(tmp_path):
    with pytest.raises(InputError, match="is no finished feature store; fill it with `vqa feat"):
        FeatureStore(tmp_path)
    for content in ("", "{", "[]", "{}", '{"failed": []}'):
        (tmp_path / MANIFEST).write_text(content)
        with pytest.raises(
            InputError, match="manifest.json: is damaged .*run `vqa features` again"
        ):
            FeatureStore(tmp_path)
