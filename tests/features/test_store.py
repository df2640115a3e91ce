"""Shards that check themselves, and rows found by image id."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqa_helpers.errors import InputError
from vqa_helpers.features.store import FeatureStore, Shard, read_shard, write_shard


def shard(ids, failed=None, shape=(4,)):
    ids = np.array(ids, dtype=np.int64)
    rows = np.stack([np.full(shape, i % 1000, dtype=np.float16) for i in ids.tolist()])
    return Shard(ids, ids * 10, rows, failed or {})


def written(folder, *shards):
    """A complete store of these shards."""
    files = [f"shard-{number:05d}.safetensors" for number in range(len(shards))]
    for file, part in zip(files, shards, strict=True):
        write_shard(folder / file, part, "id")
    failed = {str(i): why for part in shards for i, why in part.failed.items()}
    manifest = {"identity": "id", "shards": [{"file": f} for f in files], "failed": failed}
    (folder / FeatureStore.MANIFEST).write_text(json.dumps(manifest))
    return FeatureStore(folder)


@pytest.fixture
def store(tmp_path):
    """Ids 3, 7 and 2**40 in one shard, 5 and 8 in another, 6 failed."""
    return written(tmp_path, shard([3, 7, 2**40]), shard([5, 8], {6: "is not an image"}))


def same(a, b):
    return a.failed == b.failed and all(
        np.array_equal(ours, theirs) and ours.dtype == theirs.dtype
        for ours, theirs in zip(a.arrays().values(), b.arrays().values(), strict=True)
    )


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_a_shard_is_read_as_it_was_written(tmp_path, shape):
    path = tmp_path / "s.safetensors"
    made = shard([1, 2], {-4: "größer", 9: "is not an image"}, shape)
    write_shard(path, made, "id")
    assert same(read_shard(path, "id"), made)
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


def test_any_flipped_bit_and_any_truncation_is_noticed(tmp_path):
    path = tmp_path / "s"
    made = shard([1, 2], {3: "x"})
    write_shard(path, made, "id")
    intact = path.read_bytes()
    for place in range(0, len(intact), 3):
        for bit in (0, 5):
            changed = bytearray(intact)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            read = read_shard(path, "id")
            # White space in the header means nothing, so a change of it may do no harm.
            assert read is None or same(read, made), (place, bit)
        path.write_bytes(intact[:place])
        assert read_shard(path, "id") is None


def test_a_shard_of_another_origin_is_not_used(tmp_path):
    assert read_shard(tmp_path / "absent", "id") is None
    write_shard(tmp_path / "s", shard([1]), "other")
    assert read_shard(tmp_path / "s", "id") is None
    arrays = {"weight": np.zeros(3, dtype=np.float32)}
    for metadata in (None, {"made": "[]"}, {"made": "{}"}, {"made": '{"failed": 5}'}, {"x": "y"}):
        save_file(arrays, tmp_path / "s", metadata)
        assert read_shard(tmp_path / "s", "id") is None


def test_rows_are_found_by_id_in_any_order_or_zero_and_masked(store, tmp_path):
    for ids in ([3, 7, 2**40, 8, 5], [5, 8, 2**40, 7, 3], [2**40, 3]):
        rows, found = store.read(np.array(ids))
        assert rows.dtype == np.float16 and rows.shape == (len(ids), 4)
        assert rows[:, 0].tolist() == [i % 1000 for i in ids] and found.all()
    rows, found = store.read(np.array([9, 5, 6, -1, 2**62, 3]))
    assert found.tolist() == [False, True, False, False, False, True]
    assert rows[:, 0].tolist() == [0, 5, 0, 0, 0, 3]
    assert store.failed == {6: "is not an image"}
    rows, found = store.read(np.array([], dtype=np.int64))
    assert rows.shape == (0, 4) and found.shape == (0,)
    rows, found = written(tmp_path / "grid", shard([3, 7], shape=(2, 4))).read(np.array([5, 7]))
    assert rows.shape == (2, 2, 4) and found.tolist() == [False, True] and (rows[1] == 7).all()


def test_a_damaged_shard_of_a_complete_store_names_the_remedy(store):
    path = store.folder / "shard-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for _ in ("damaged", "absent"):
        with pytest.raises(InputError, match="shard-00001.*damaged; run `vqa features` again"):
            store.read(np.array([3]))
        path.unlink(missing_ok=True)
    for content in ("", "{", "[]", "{}", '{"failed": []}'):
        (store.folder / FeatureStore.MANIFEST).write_text(content)
        with pytest.raises(InputError, match="is damaged .*run `vqa features` again"):
            FeatureStore(store.folder)
    (store.folder / FeatureStore.MANIFEST).unlink()
    with pytest.raises(InputError, match="is no complete feature store; fill it with `vqa feat"):
        FeatureStore(store.folder)
