"""Index files that satisfy every checksum and are wrong all the same."""

import json

import numpy as np
import pytest

from tests.index.cases import SMALL_GRAPH, normal
from tests.index.contract import DIM, N
from vecstore.errors import CorruptData
from vecstore.index import HNSWIndex
from vecstore.storage.files import Files
from vecstore.storage.layout import Kind, write_sections


def _write(path, arrays):
    write_sections(Files(), path, Kind.INDEX, arrays)


def _saved_sections():
    index = HNSWIndex(DIM, **SMALL_GRAPH)
    index.add(normal(N, DIM))
    meta, arrays = index._sections()
    return meta, {"meta": _json(meta), **arrays}


def _json(meta):
    return np.frombuffer(json.dumps(meta).encode(), np.uint8)


@pytest.mark.parametrize("seed", range(10))
def test_search_and_add_stay_within_bounds_when_links_are_damaged(seed, tmp_path):
    vectors = normal(N, DIM)
    _, arrays = _saved_sections()
    generator = np.random.default_rng(seed)

    def damage(array):
        limits = np.iinfo(array.dtype)
        wild = generator.integers(limits.min, limits.max, array.shape, array.dtype, endpoint=True)
        near = generator.integers(0, N + 2, array.shape).astype(array.dtype)
        kind = generator.integers(0, 4, array.shape)
        return np.select([kind == 0, kind == 1], [wild, near], array)

    names = ["levels", "links", "upper_start", "upper"]
    _write(tmp_path / "index", arrays | {name: damage(arrays[name]) for name in names})

    loaded = HNSWIndex.load(tmp_path / "index")
    found = loaded.search(vectors[:20], k=9, ef=20)
    masked = loaded.search(vectors[:20], k=9, ef=9, admit=np.arange(N) % 3 > 0)
    loaded.add(normal(300, DIM, seed=1))
    loaded.optimize()
    after = loaded.search(vectors[:20], k=9, ef=20)

    for result, n in ((found, N), (masked, N), (after, N + 300)):
        assert ((result.slots >= 0) & (result.slots < n)).all()
        assert all(len(set(slots)) == 9 for slots in result.slots.tolist())
    assert loaded.stats().n_indexed == N + 300


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": -1},
        {"entry": N},
        {"entry": 80},
        {"entry": 2**40},
        {"top_layer": -1},
        {"top_layer": 16},
        {"n_indexed": N + 1},
        {"n_indexed": 0},
        {"n_indexed": -5},
        {"n_upper": 10**9},
        {"n_upper": -1},
        {"entry": "x"},
        {"entry": None},
    ],
    ids=str,
)
def test_load_reports_damage_when_the_counts_are_impossible(changes, tmp_path):
    meta, arrays = _saved_sections()
    meta["graph"] |= changes
    _write(tmp_path / "index", arrays | {"meta": _json(meta)})

    with pytest.raises(CorruptData):
        HNSWIndex.load(tmp_path / "index")


@pytest.mark.parametrize(
    "sections",
    [
        {"rows": np.zeros((N, 64), np.float32)},
        {"rows": np.zeros((N, 32), np.int32)},
        {"rows": np.zeros((10, 32), np.float32)},
        {"rows": np.zeros(N * 32, np.float32)},
        {"levels": np.zeros(79, np.uint8)},
        {"links": np.zeros((80, 7), np.int32)},
        {"links": np.zeros((80, 8), np.uint32)},
        {"upper_start": np.zeros(81, np.int32)},
        {"meta": np.frombuffer(b"{}", np.uint8)},
        {"meta": np.frombuffer(b"[1]", np.uint8)},
        {"meta": np.frombuffer(b"7", np.uint8)},
        {"meta": np.frombuffer(b"{\xff", np.uint8)},
        {"meta": np.zeros(0, np.uint8)},
    ],
    ids=lambda sections: next(iter(sections)),
)
def test_load_reports_damage_when_a_section_is_impossible(sections, tmp_path):
    _, arrays = _saved_sections()
    _write(tmp_path / "index", arrays | sections)

    with pytest.raises(CorruptData):
        HNSWIndex.load(tmp_path / "index")


def test_load_reports_damage_when_a_section_is_absent(tmp_path):
    _, arrays = _saved_sections()
    for absent in arrays:
        _write(tmp_path / "i", {name: array for name, array in arrays.items() if name != absent})

        with pytest.raises(CorruptData):
            HNSWIndex.load(tmp_path / "i")
