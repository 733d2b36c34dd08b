"""What a store takes on the disk, and what is left of what was deleted."""

import numpy as np
import pytest

import vecstore
from tests.stores import grid, names

CONFIG = {"flat_threshold": 64, "maintenance": "inline", "checkpoint_bytes": 50_000}


def fill(store, rows, kept):
    store.upsert_many(names(len(rows)), rows, [{"i": i} for i in range(len(rows))])
    store.delete_many([name for i, name in enumerate(names(len(rows))) if i not in kept])


def used(path):
    """Count the bytes that the files of a store take on the medium."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_compacted_store_takes_no_more_than_a_fresh_one_when_most_was_deleted(metric, tmp_path):
    rows = grid(3000, 64)
    kept = set(range(0, 3000, 10))
    with vecstore.open(tmp_path / "a", metric=metric, config=CONFIG) as store:
        fill(store, rows, kept)
        before = used(tmp_path / "a")
        store.compact()
        after = used(tmp_path / "a")
    with vecstore.open(tmp_path / "b", metric=metric, config=CONFIG) as fresh:
        chosen = sorted(kept)
        fresh.upsert_many(
            [names(3000)[i] for i in chosen], rows[chosen], [{"i": i} for i in chosen]
        )
        fresh.checkpoint()

        assert after <= 1.2 * used(tmp_path / "b")
        assert after < before / 5


def live_bytes(path):
    return b"".join(file.read_bytes() for file in sorted(path.iterdir()) if file.is_file())


def test_the_bytes_of_deleted_vectors_are_gone_when_the_store_was_compacted(tmp_path):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(300, 8)).astype(np.float32)
    secret = rows[100].tobytes()
    with vecstore.open(tmp_path, metric="l2", config=CONFIG) as store:
        store.upsert_many(names(300), rows, [{"secret": f"word{i}"} for i in range(300)])
        store.checkpoint()
        store.upsert("later", rows[101])
        store.delete("r100")
        assert secret in live_bytes(tmp_path)
        assert b"word100" in live_bytes(tmp_path)

        assert store.compact() == 1

        assert secret not in live_bytes(tmp_path)
        assert b"word100" not in live_bytes(tmp_path)
        assert rows[99].tobytes() in live_bytes(tmp_path)
    assert secret not in live_bytes(tmp_path)


def test_compact_names_the_snapshots_that_keep_what_was_deleted(tmp_path):
    rows = grid(100)
    with vecstore.open(tmp_path, metric="l2", config=CONFIG) as store:
        store.create_snapshot("empty")
        store.upsert_many(names(100), rows)
        store.create_snapshot("full")
        store.delete("r7")

        removed = store.compact()

        assert (removed, removed.snapshots) == (1, ("full",))
        kept = tmp_path / "snapshots" / "full"
        assert any(np.float32(rows[7]).tobytes() in f.read_bytes() for f in kept.iterdir())
        store.delete_snapshot("full")
        store.delete("r8")
        assert store.compact().snapshots == ()


def test_the_log_shrinks_when_a_checkpoint_was_made(tmp_path):
    with vecstore.open(tmp_path, config={"maintenance": "inline"}) as store:
        store.upsert_many(names(2000), grid(2000, 32))
        long = store.stats().log_bytes

        store.checkpoint()

        assert long > 2000 * 32 * 4
        assert store.stats().log_bytes == 0
        logs = [file.stat().st_size for file in tmp_path.glob("wal-*.log")]
        assert logs == [64]


def test_a_checkpoint_comes_by_itself_when_the_log_is_long(tmp_path):
    with vecstore.open(tmp_path, config=CONFIG) as store:
        for i in range(20):
            store.upsert_many(names(100, f"{i}-"), grid(100, 16, seed=i))
            assert store.stats().log_bytes <= max(50_000, store.stats().disk_bytes // 4)

        assert store.stats().generation > 2
        assert store.stats().live == 2000


def test_what_is_deleted_stays_deleted_when_the_snapshot_before_it_is_restored_twice(tmp_path):
    with vecstore.open(tmp_path, config=CONFIG) as store:
        store.create_snapshot("none")
        store.upsert_many(names(50), grid(50))
        store.create_snapshot("fifty")
        for _ in range(2):
            store.restore_snapshot("none")
            assert (len(store), store.dim) == (0, None)
            store.restore_snapshot("fifty")
            assert (len(store), store.dim) == (50, 4)
            assert store.verify().ok
