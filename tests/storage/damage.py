"""
Ways to damage a store on disk, and a user who then works with it.

`python -m tests.storage.damage DIRECTORY` runs every way in one process of its own, so that a
crash of a kernel is seen, and prints one line of JSON a case. Memory is limited meanwhile.
"""

import contextlib
import json
import os
import resource
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from unittest import mock

import numpy as np

import vecstore
from tests.storage.failing import FailingFiles
from vecstore.errors import CorruptData, NotFound, UnsupportedFormat
from vecstore.storage.file_names import log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import LOG_HEADER_BYTES
from vecstore.storage.layout import Kind, parse_header
from vecstore.storage.log_reader import LogReader
from vecstore.storage.manifest import read_current

N = 300
DIM = 8
NOW = 1_000_000
CONFIG = {"flat_threshold": 64, "maintenance": "inline", "hnsw": {"m": 4, "ef_construction": 16}}
SPARE_BYTES = 3 << 29


def build(root, seed):
    """Write a store of N slots with a graph, dead, hidden and expired ones; sizes never differ."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((N, DIM))
    ids = [f"id{i:04}" for i in range(N)]
    with vecstore.open(root, metric="cosine", config=CONFIG, clock=lambda: NOW) as store:
        # an int64 is packed in 9 bytes whatever the seed
        facts = [{"text": "x" * 9, "number": int(2**40 + rng.integers(2**40))} for _ in ids]
        store.upsert_many(ids, rows, facts)
        for i in range(4):
            store.upsert(f"gone{i}", rows[i], ttl_s=0.5)
            store.upsert(f"later{i}", rows[i], ttl_s=500)
        store.upsert_many(ids[:20], rows[20:40])
        store.delete_many(ids[20:30])
        for record_id in ids[30:40]:
            store.soft_delete(record_id)


def build_everything(root, seed):
    """
    Write the store that `build` does as a generation, and two logs that follow it.

    That is how a checkpoint leaves them that failed, and rows that it wrote and nobody names.
    """
    build(root, seed)
    rows = np.random.default_rng(seed).standard_normal((9, DIM))
    files = FailingFiles(counted=("write_new",))
    with mock.patch("vecstore.store.Files", return_value=files):
        opened = vecstore.open(root, clock=lambda: NOW + 600)
    with opened as store:
        store.checkpoint()
        make_calls(store, "first", rows, 40)
        files.fail_after(0)
        with contextlib.suppress(OSError):
            store.checkpoint()
        make_calls(store, "later", rows, 60)


def make_calls(store, word, rows, first):
    """Make one call of each kind, on records from a number on."""
    ids = [f"id{number:04}" for number in range(first, first + 5)]
    store.upsert(f"{word}0", rows[0], {"word": word}, ttl_s=99)
    store.upsert_many([f"{word}{i}" for i in range(1, 6)], rows[1:6], [{"n": i} for i in range(5)])
    store.delete(ids[0])
    store.soft_delete(ids[1])
    store.soft_delete(ids[2])
    store.restore(ids[2])
    store.update_metadata(ids[3], {"word": word})
    store.set_ttl(ids[4], 999)
    store.batch(
        [{"op": "delete", "id": f"{word}1"}, {"op": "upsert", "id": "b", "vector": rows[7]}]
    )
    store.upsert(f"swept{word}", rows[8], ttl_s=0.001)
    store.expire()


def roles(root):
    """Name the files of a store by what they are for; of two logs, the later is "wal-last"."""
    names = sorted(path.name for path in root.iterdir())
    logs = [name for name in names if log_number(name)]
    found = {name.split("-")[0]: name for name in names if name not in logs}
    found |= dict(zip(["wal", "wal-last"], logs, strict=True))
    assert len(found) == len(names) == 10, names
    return found


def boundaries(name, raw):
    """List where the parts of a file begin and end: sections, blocks of checksums, frames."""
    if log_number(name):
        places, at = {LOG_HEADER_BYTES}, LOG_HEADER_BYTES
        while at + 32 <= len(raw):
            at += 32 + int.from_bytes(raw[at : at + 4], "little")
            places |= {at, at - 1, at + 32}
        return sorted(place for place in places if 0 < place < len(raw))
    if name.endswith(".bin"):
        kind = Kind(int.from_bytes(raw[12:16], "little"))
        sections, trailer, _ = parse_header(Path(name), raw, kind)
        ends = {s.offset + s.size_bytes for s in sections}
        places = {40, 4096, trailer, *ends, *(s.offset for s in sections)}
        return sorted(place for place in places if 0 < place < len(raw))
    return [at for at in range(1, len(raw)) if raw[at - 1 : at] in (b" ", b"\n", b"{")]


def changed_bytes(name, raw, step, rng):
    """Yield (label, bytes) for damage of the same length: blocks zeroed, swapped, flipped bits."""
    for begin in range(0, len(raw), 4096):
        size = len(raw[begin : begin + 4096])
        for kind, page in (("zero", bytes(size)), ("random", rng.bytes(size))):
            yield f"{kind} page at {begin}", raw[:begin] + page + raw[begin + size :]
    for one in range(0, len(raw) - 512, 512):
        other = int(rng.integers(len(raw) // 512)) * 512
        first, last = min(one, other), max(one, other)
        blocks = raw[first : first + 512], raw[last : last + 512]
        if blocks[0] != blocks[1] and len(blocks[1]) == 512:
            between = raw[first + 512 : last]
            swapped = raw[:first] + blocks[1] + between + blocks[0] + raw[last + 512 :]
            yield f"swapped {first} and {last}", swapped
    header = 40 + 48 * raw[16] if raw.startswith(b"VECSTORE") else 0
    header = 64 if log_number(name) else header
    for at in sorted({*range(header), *range(0, len(raw), step)}):
        bit = 1 << int(rng.integers(8))
        yield f"bit {bit} at {at}", raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]


def file_damages(name, raw, twin, step, seed=0):
    """
    Yield (label, bytes or None) for every way to damage a file.

    Every `step`-th byte is flipped, and every byte of a header and its table.
    """
    rng = np.random.default_rng(seed)
    yield "missing", None
    for size in sorted({0, 1, len(raw) // 2, len(raw) - 1, *boundaries(name, raw)}):
        yield f"cut to {size}", raw[:size]
    for more in (b"\0", rng.bytes(5000)):
        yield f"longer by {len(more)}", raw + more
    if twin != raw:
        yield "of another store", twin
    yield "random", rng.bytes(len(raw))
    for label, data in changed_bytes(name, raw, step, rng):
        if data != raw:
            yield label, data


def damages(pristine, twin, step=None):
    """
    Yield (role, label, function of a directory) for every way to damage a store's files.

    `step` is as in `file_damages`, for large files; by default 24 of their bytes are flipped.
    """
    for role, name in sorted(roles(pristine).items()):
        raw, other = (pristine / name).read_bytes(), (twin / name).read_bytes()
        small = 1 if len(raw) < 200 else 5
        every = max(1, len(raw) // 24) if step is None else step if len(raw) > 2000 else small
        for label, data in file_damages(name, raw, other, every):
            yield role, label, lambda root, name=name, data=data: put(root / name, data)


def put(path, data):
    """Put a file in the place of another; who has mapped that one keeps it."""
    if data is None:
        path.unlink()
    else:
        path.with_name("new").write_bytes(data)
        path.with_name("new").replace(path)


def named_bytes(root):
    """
    Say of each file how many of its bytes count.

    That is what the manifest names, and what lies below the greatest `synced` of a log, or before
    a later one.
    """
    manifest = read_current(Files(), root)
    named = {role: (root / name).stat().st_size for role, name in roles(root).items()}
    named["vectors"] = manifest.files["vectors"].length
    path = root / roles(root)["wal-last"]
    last = LogReader(Files(), path, log_number(path.name))
    for _ in last.calls():
        pass
    return named | {"wal": last.header.before, "wal-last": last.synced, "LOCK": 0}


def check_error(root, error):
    """Check that an error tells where the damage is."""
    assert error.path.is_relative_to(root), error
    if isinstance(error, CorruptData):
        assert type(error.offset) is int, error
        assert error.offset >= 0, error


def check_hits(ids, distances, k):
    assert len(ids) == len(distances) <= k
    assert all(isinstance(record_id, str) for record_id in ids)


def use_query(store):
    rows = np.random.default_rng(9).standard_normal((3, store.dim))
    for row, k, ef in zip(rows, (1, 3, N), (1, 4, 5), strict=True):
        result = store.query(row, k=k, ef=ef)
        check_hits(result.ids, [hit.distance for hit in result], k)


def use_query_many(store):
    rows = np.random.default_rng(8).standard_normal((5, store.dim))
    for k in (3, 2 * N):
        batch = store.query_many(rows, k=k, ef=4)
        for ids, distances in zip(batch.ids, batch.distances, strict=True):
            hits = [record_id for record_id in ids if record_id is not None]
            check_hits(hits, distances[: len(hits)], k)


def use_iter_query(store):
    for strict in (False, True):
        hits = list(store.iter_query(np.ones(store.dim), strict=strict))
        check_hits([hit.id for hit in hits], hits, N + 200)


def use_get(store):
    for number in (0, 25, 35, 99, 299):
        with contextlib.suppress(NotFound):
            assert store.get(f"id{number:04}").vector.shape == (store.dim,)
    store.get_many(["id0001", "nobody", "later1"])
    assert "nobody" not in store


def use_records(store):
    for deleted in (False, True):
        for record in store.records(deleted=deleted):
            assert isinstance(record.id, str)
            assert isinstance(record.metadata, dict)


def use_counts(store):
    assert len(store) <= N + 200
    assert len(store.ids()) <= N + 200
    assert store.stats().live >= 0
    store.fingerprint()


def use_writes(store):
    store.upsert("id0001", np.ones(store.dim), {"new": 1})
    store.upsert_many([f"new{i}" for i in range(60)], np.eye(60, store.dim) + 1)
    for call in (
        lambda: store.delete("id0101"),
        lambda: store.update_metadata("id0102", {"more": 1}, merge=True),
        lambda: store.set_ttl("id0103", 5),
        lambda: store.soft_delete("id0104"),
        lambda: store.restore("id0104"),
        lambda: store.restore("id0035"),
        lambda: store.restore("gone1"),
    ):
        with contextlib.suppress(NotFound):
            call()
    store.expire()
    store.delete_many([f"id{i:04}" for i in range(110, 290)])


USES = [
    use_query,
    use_query_many,
    use_get,
    use_records,
    use_counts,
    use_iter_query,
    use_writes,
    vecstore.VecStore.optimize,
    use_query,
    use_counts,
    vecstore.VecStore.checkpoint,
    use_query_many,
    vecstore.VecStore.compact,
    use_query,
    use_records,
]


def image(root):
    """Give the whole directory, byte for byte, but for what the lock file says."""
    paths = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root): b"" if path.name == "LOCK" else path.read_bytes() for path in paths
    }


def stored(root):
    """Open a copy of a store with every check, as after a crash; return its records."""
    twin = root.parent / "twin"
    shutil.rmtree(twin, ignore_errors=True)
    shutil.copytree(root, twin)
    with vecstore.open(twin, check="full") as store:
        return {record.id: record.vector.tolist() for record in store.records()}


def abandon(store):
    """Let go of a store as a crash does."""
    if not store.closed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            store.__del__()
            store._writer.closed = True


def exercise(root):
    """
    Open a damaged store and do everything with it.

    Returns
    -------
    str
        "refused" by open, "noticed" later, or "answered" throughout.
    """
    try:
        store = vecstore.open(root, clock=lambda: NOW + 1000)
    except (CorruptData, UnsupportedFormat) as error:
        check_error(root, error)
        return "refused"
    noticed = False
    try:
        for use in [*USES, vecstore.VecStore.close]:
            try:
                use(store)
            except CorruptData as error:
                check_error(root, error)
                noticed = True
    finally:
        abandon(store)
    with contextlib.suppress(CorruptData) if noticed else contextlib.nullcontext():
        vecstore.open(root, clock=lambda: NOW + 2000, check="full").close()
    return "noticed" if noticed else "answered"


def limit_memory():
    """Refuse this process much more address space than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def run(directory, cases):
    """Exercise a fresh copy of a store for each case; print a line before and after."""
    pristine, root = directory / "pristine", directory / "damaged"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root)
    assert exercise(root) == "answered"  # and every kernel is warm
    limit_memory()
    os.fsync = os.fdatasync = lambda descriptor: None  # nothing here outlives the test
    for group, label, damage in cases:
        shutil.rmtree(root)
        shutil.copytree(pristine, root)
        line = {"group": group, "label": label, "outcome": "crashed", "error": ""}
        print(json.dumps(line), flush=True)
        try:
            damage(root)
            line["outcome"] = exercise(root)
        except Exception:
            line |= {"outcome": "failed", "error": traceback.format_exc(limit=-4)}
        print(json.dumps(line), flush=True)


def main(directory):
    """Run all cases on the stores that `build` put into a directory."""
    from tests.storage.forgery import forgeries

    pristine = directory / "pristine"
    manifest = read_current(Files(), pristine)
    run(directory, [*damages(pristine, directory / "twin"), *forgeries(manifest)])


if __name__ == "__main__":
    if len(sys.argv) > 2:  # by hand: build, run, and show what failed
        build_everything(Path(sys.argv[1]) / "pristine", 1)
        build_everything(Path(sys.argv[1]) / "twin", 2)
    main(Path(sys.argv[1]))
