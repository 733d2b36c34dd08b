import numpy as np
import pytest

from tests.index.cases import SMALL_GRAPH, generated, normal
from tests.index.contract import DIM, IndexContract, N
from tests.index.file_contract import FileContract
from vecstore.errors import CorruptData
from vecstore.index import FlatIndex, HNSWIndex
from vecstore.kernels.distance import METRICS


class TestFlatIndex(IndexContract, FileContract):
    metrics = tuple(sorted(METRICS))

    @staticmethod
    def make(metric, dim=DIM):
        return FlatIndex(dim, metric)


def test_search_compares_every_row_when_the_index_is_flat():
    index = FlatIndex(DIM)
    index.add(normal(N, DIM))

    found = index.search(normal(3, DIM, seed=1), k=4)

    assert found.n_dist.tolist() == found.n_scanned.tolist() == [N] * 3
    assert found.n_hops.tolist() == [0] * 3
    assert found.exact.all()


def test_fingerprint_stays_when_rows_come_in_chunks():
    vectors = generated(N, DIM)
    whole, chunked = FlatIndex(DIM), FlatIndex(DIM)

    whole.add(vectors)
    for first in range(0, N, 11):
        chunked.add(vectors[first : first + 11])

    assert chunked.fingerprint() == whole.fingerprint()


def test_rows_are_padded_and_aligned_when_the_dimension_is_odd():
    index = FlatIndex(33)
    index.add(normal(10, 33))

    assert index.rows.shape == (10, 64)
    assert (index.rows[:, 33:] == 0).all()
    assert index.rows.ctypes.data % 64 == 0


def test_rows_have_unit_length_when_the_metric_is_cosine():
    index = FlatIndex(DIM, "cosine")
    index.add(normal(N, DIM) * np.float32(100))

    assert np.linalg.norm(index.rows, axis=1) == pytest.approx(np.ones(N), abs=1e-6)


@pytest.mark.parametrize(("written", "read"), [(FlatIndex, HNSWIndex), (HNSWIndex, FlatIndex)])
def test_load_reports_damage_when_another_class_wrote_the_file(written, read, tmp_path):
    index = written(DIM) if written is FlatIndex else HNSWIndex(DIM, **SMALL_GRAPH)
    index.add(normal(N, DIM))
    index.save(tmp_path / "index")

    with pytest.raises(CorruptData, match=read.__name__):
        read.load(tmp_path / "index")


def test_load_leaves_the_file_as_it_is_when_rows_are_added(tmp_path):
    index = FlatIndex(DIM)
    index.add(normal(N, DIM))
    index.save(tmp_path / "index")
    before = (tmp_path / "index").read_bytes()

    loaded = FlatIndex.load(tmp_path / "index")
    loaded._cut(3)
    loaded.add(normal(2, DIM, seed=8))

    assert len(loaded) == 5
    assert (tmp_path / "index").read_bytes() == before
