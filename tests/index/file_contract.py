"""What every index promises of its file; inherited together with `contract.IndexContract`."""

import pytest

from tests.index.cases import fields, generated, normal
from tests.index.contract import DIM, N
from vecstore.errors import CorruptData, VecStoreError


class FileContract:
    """
    Tests of `save` and `load`, and of what damage does.

    A subclass has `make` and `filled`, as `IndexContract` gives them.
    """

    def test_load_gives_the_same_index_when_it_was_saved(self, metric, tmp_path):
        index, _ = self.filled(metric)
        queries = normal(9, DIM, seed=3)

        index.save(tmp_path / "index")
        loaded = type(index).load(tmp_path / "index")

        assert loaded.fingerprint() == index.fingerprint()
        assert loaded.stats().n == N
        assert repr(loaded) == repr(index)
        before, after = index.search(queries, k=8), loaded.search(queries, k=8)
        for left, right in zip(fields(before), fields(after), strict=True):
            assert left.tobytes() == right.tobytes()
        assert [path.name for path in tmp_path.iterdir()] == ["index"]

    def test_add_goes_on_as_if_never_saved_when_loaded(self, metric, tmp_path):
        index, _ = self.filled(metric)
        more = normal(200, DIM, seed=4)
        index.save(tmp_path / "index")
        loaded = type(index).load(str(tmp_path / "index"))
        saved = (tmp_path / "index").read_bytes()

        loaded.add(more)
        index.add(more)

        assert loaded.fingerprint() == index.fingerprint()
        assert (tmp_path / "index").read_bytes() == saved

    def test_load_gives_an_empty_index_when_it_was_saved_empty(self, metric, tmp_path):
        self.make(metric).save(tmp_path / "index")

        loaded = type(self.make(metric)).load(tmp_path / "index")
        loaded.add(normal(N, DIM))

        assert loaded.fingerprint() == self.filled(metric)[0].fingerprint()

    def test_save_replaces_the_file_when_its_own_index_is_mapped_from_it(self, metric, tmp_path):
        path = tmp_path / "index"
        self.filled(metric)[0].save(path)
        loaded = type(self.make(metric)).load(path)
        loaded.add(normal(5, DIM, seed=5))

        loaded.save(path)

        assert type(loaded).load(path).fingerprint() == loaded.fingerprint()

    def small_file(self, tmp_path):
        index = self.make("euclidean", 3)
        index.add(generated(25, 3))
        index.save(tmp_path / "index")
        return type(index), (tmp_path / "index").read_bytes()

    def test_load_reports_damage_when_a_bit_is_flipped_anywhere(self, tmp_path):
        kind, whole = self.small_file(tmp_path)
        path = tmp_path / "damaged"

        ends = {*range(512), *range(len(whole) - 64, len(whole))}  # header, table, trailer
        for at in sorted(ends | {*range(512, len(whole), 7)}):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << (at * 5 % 8)
            path.write_bytes(damaged)
            # a changed version reads as a newer format, which has an error of its own
            expected = VecStoreError if 8 <= at < 12 else CorruptData
            with pytest.raises(expected) as caught:
                kind.load(path)
            assert caught.value.path == path
            if isinstance(caught.value, CorruptData):
                assert 0 <= caught.value.offset <= len(whole)

    def test_load_reports_damage_when_the_file_is_cut_or_longer(self, tmp_path):
        kind, whole = self.small_file(tmp_path)
        path = tmp_path / "damaged"
        lengths = {*range(0, len(whole), 61), *range(39, 43), len(whole) - 1}

        for length in sorted(lengths):
            path.write_bytes(whole[:length])
            with pytest.raises(CorruptData):
                kind.load(path)
        for more in (b"\0", b"x" * 4096):
            path.write_bytes(whole + more)
            with pytest.raises(CorruptData):
                kind.load(path)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY" + bytes(500), bytes(5000)])
    def test_load_reports_damage_when_the_file_is_foreign(self, content, tmp_path):
        path = tmp_path / "foreign"
        path.write_bytes(content)

        with pytest.raises(CorruptData, match="foreign: damaged at byte 0"):
            type(self.make("euclidean")).load(path)

    def test_load_reports_damage_when_the_file_is_missing(self, tmp_path):
        with pytest.raises(CorruptData, match="missing"):
            type(self.make("euclidean")).load(tmp_path / "nothing")
