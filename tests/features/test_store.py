"""Shards that check themselves, and rows found by image id."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vqa_helpers.errors import InputError
from vqa_helpers.features import store as module
from vqa_helpers.features.store import FeatureStore, RowsOnDisk, Shard, read_shard, write_shard


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


# Rows that stay on disk ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_rows_on_disk_are_those_in_memory(tmp_path, monkeypatch, shape):
    store = written(tmp_path, shard([5, 8], {6: "x"}, shape), shard([3, 7, 2**40], shape=shape))
    ids = np.array([8, 1, 2**40, 3, 6, 5])
    kept, found = store.rows(ids, without=[3])
    monkeypatch.setattr(module, "MOST_IN_MEMORY", kept.nbytes - 1)
    on_disk, there = store.rows(ids, without=[3])
    assert torch.is_tensor(kept) and isinstance(on_disk, RowsOnDisk)
    assert on_disk.shape == tuple(kept.shape) and on_disk.dtype == kept.dtype
    assert found.tolist() == there.tolist() == [True, False, True, False, False, True]
    for asked in ([0, 2, 5, 4, 0, 1, 3, 2], [], [3]):
        assert torch.equal(on_disk[torch.tensor(asked, dtype=int)], kept[asked])
    assert kept.flatten(1).amax(1).tolist() == [8, 0, 2**40 % 1000, 0, 0, 5]


def test_a_shuffle_takes_some_files_at_a_time(tmp_path, monkeypatch):
    store = written(tmp_path, *(shard(range(10 * n, 10 * n + 10)) for n in range(6)))
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 0)
    of_one = (tmp_path / "shard-00000.safetensors").stat().st_size
    monkeypatch.setattr(module, "READ_AHEAD", 2 * of_one)
    rows, _ = store.rows(np.arange(61))  # of the last there is none
    asked = torch.arange(61).repeat(5)  # five questions about each
    orders = [rows.shuffle(asked, torch.Generator().manual_seed(seed)) for seed in (0, 1, 0)]
    assert torch.equal(orders[0], orders[2]) and not torch.equal(orders[0], orders[1])
    for order in orders:
        assert sorted(order.tolist()) == list(range(305))
        files = [int(row) // 10 for row in asked[order]]
        turns = [files[0]] + [b for a, b in zip(files, files[1:], strict=False) if a != b]
        assert len(turns) > 60  # the questions about two files are mixed
        last = {file: place for place, file in enumerate(files)}
        first = {file: files.index(file) for file in last}
        open_at = [sum(first[f] <= p <= last[f] for f in first) for p in range(305)]
        assert max(open_at) <= 3  # two, and the file of none
