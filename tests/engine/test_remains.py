"""Of a damaged generation, whole records are saved as they were, and the others are named."""

import errno
import shutil

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import FailingMedium, flip, path_of, records, salvaged
from tests.storage.failing import FailingFiles
from tests.stores import Clock
from vecstore.engine.salvage import salvage_into
from vecstore.errors import CorruptData
from vecstore.storage.files import Files
from vecstore.storage.layout import Kind, parse_header

N, DIM = 9000, 60
N_LONG = 150_000
ROW_BYTES = 256
BLOCK = 1 << 20
INLINE = {"maintenance": "inline", "flat_threshold": 1 << 20}


def write_large(root, letter):
    """Write a store whose vectors, ids and metadata take several blocks; slot i has id number i."""
    rng = np.random.default_rng(5)
    ids = [f"{letter * 130}{i:05}" for i in range(N)]
    facts = [{"i": i, "text": "x" * 300} for i in range(N)]
    with vecstore.open(root, metric="cosine", config=INLINE, clock=Clock()) as store:
        store.upsert_many(ids, rng.standard_normal((N, DIM)), facts)
        for i in range(0, N, 100):
            store.soft_delete(ids[i])
            store.delete(ids[i + 1])
            store.set_ttl(ids[i + 2], 1000 + i)
        store.checkpoint()
    return root


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_large(tmp_path_factory.mktemp("salvage") / "large", "i")


@pytest.fixture(scope="module")
def large_records(large):
    return records(large)


@pytest.fixture
def root(large, tmp_path):
    return shutil.copytree(large, tmp_path / "store")


def lost_ids(report):
    return {record_id for loss in report.losses for record_id in loss.ids}


def lost_slots(report):
    return {slot for loss in report.losses for slot in loss.slots}


def kept_by(large_records, report):
    lost = lost_slots(report)
    return {one: record for one, record in large_records.items() if int(one[-5:]) not in lost}


@pytest.mark.parametrize("block", [0, 1, 2])
def test_just_the_records_of_a_damaged_block_are_lost_when_vectors_are_damaged(
    block, root, large_records
):
    flip(path_of(root, "vectors"), block * BLOCK + 77)
    first = max(0, (block * BLOCK - 4096) // ROW_BYTES)
    last = min(N, ((block + 1) * BLOCK - 4096 - 1) // ROW_BYTES + 1)

    report, found = salvaged(root)

    expected = {one for one in large_records if first <= int(one[-5:]) < last}
    assert lost_ids(report) == expected
    assert lost_slots(report) == {int(one[-5:]) for one in expected}
    assert found == kept_by(large_records, report)
    (loss,) = report.losses
    assert (loss.path, loss.offset) == (str(path_of(root, "vectors")), block * BLOCK)


def test_damage_side_by_side_is_one_loss_and_damage_apart_is_two(root, large_records):
    flip(path_of(root, "vectors"), 5, BLOCK - 1)
    one, _ = salvaged(root)
    shutil.rmtree(root.with_name("out"))
    flip(path_of(root, "vectors"), 2 * BLOCK + 5)
    two, found = salvaged(root)

    assert [loss.offset for loss in one.losses] == [0]
    assert [loss.offset for loss in two.losses] == [0, 2 * BLOCK]
    assert found == kept_by(large_records, two)


def spans(root, role, kind, n=N):
    """Give the bytes of a section file that belong to each slot, worked out one by one."""
    path = path_of(root, role)
    raw = path.read_bytes()
    places = {s.name: s for s in parse_header(path, raw[:4096], kind)[0]}
    offsets = np.frombuffer(raw, "<i8", n + 1, places["offsets"].offset).tolist()
    for slot in range(n):
        at, blob = places["offsets"].offset + 8 * slot, places["blob"].offset
        yield [
            (at, at + 16),
            (blob + offsets[slot], blob + offsets[slot + 1]),
            *(
                (places[name].offset + width * item, places[name].offset + width * (item + 1))
                for name, width, item in [
                    ("live", 8, slot // 64),
                    ("norms", 8, slot),
                    ("created_at", 8, slot),
                    ("expires_at", 8, slot),
                    ("deleted_at", 8, slot),
                ]
                if name in places
            ),
        ]


def slots_in(block, ranges):
    begin, end = block * BLOCK, (block + 1) * BLOCK
    return {slot for slot, each in enumerate(ranges) if any(a < end and b > begin for a, b in each)}


@pytest.mark.parametrize(
    ("role", "kind"), [("metadata", Kind.METADATA), ("ids", Kind.IDS)], ids=["metadata", "ids"]
)
@pytest.mark.parametrize("block", [0, 1])
def test_just_the_records_of_a_damaged_block_are_lost_when_facts_are_damaged(
    role, kind, block, root, large_records
):
    met = slots_in(block, spans(root, role, kind))
    flip(path_of(root, role), block * BLOCK + 40_000)

    report, found = salvaged(root)

    # the first block of metadata tells which slots are live: without it, dead ones count as lost
    unknown = (role, block) == ("metadata", 0)
    dead = set() if unknown else {i + 1 for i in range(0, N, 100)}
    assert len(met) == N if block == 0 else 0 < len(met) < N
    assert lost_slots(report) == met - dead
    assert set(found) == {one for one in large_records if int(one[-5:]) not in met}
    assert all(found[one] == large_records[one] for one in found)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Write a store with so many slots that lengths and times lie in blocks of their own."""
    root = tmp_path_factory.mktemp("salvage") / "long"
    with vecstore.open(root, metric="cosine", config=INLINE, clock=Clock()) as store:
        rows = np.random.default_rng(6).standard_normal((N_LONG, 2))
        store.upsert_many([str(i) for i in range(N_LONG)], rows)
        store.checkpoint()
    return root


@pytest.mark.parametrize("block", [1, 3, 4, 5])
def test_just_the_records_are_lost_whose_length_or_times_are_damaged(block, long, tmp_path):
    root = shutil.copytree(long, tmp_path / "store")
    met = slots_in(block, spans(root, "metadata", Kind.METADATA, N_LONG))
    flip(path_of(root, "metadata"), block * BLOCK + 40_000)

    report = vecstore.salvage(root, tmp_path / "out")

    assert 0 < len(met) < N_LONG
    assert lost_slots(report) == met
    with vecstore.open(tmp_path / "out", mode="r") as store:
        assert {int(one) for one in store.ids()} == set(range(N_LONG)) - met


@pytest.mark.parametrize("role", ["vectors", "metadata", "ids", "checksums", "hnsw_index"])
@pytest.mark.parametrize("harm", ["missing", "a folder", "empty", "half", "one short", "longer"])
def test_what_is_saved_is_what_was_written_when_a_file_has_another_length(
    role, harm, root, large_records
):
    path = path_of(root, role)
    raw = path.read_bytes()
    path.unlink()
    if harm == "a folder":
        path.mkdir()
    elif harm != "missing":
        shorter = {"empty": 0, "half": len(raw) // 2, "one short": len(raw) - 1}
        path.write_bytes(raw[: shorter[harm]] if harm in shorter else raw + bytes(100))

    report, found = salvaged(root)

    assert all(large_records[one] == record for one, record in found.items())
    harmless = (
        role == "hnsw_index" or harm == "longer" or (harm, role != "vectors") == ("one short", True)
    )
    assert report.ok == (len(found) == len(large_records)) == harmless
    told = {issue.path for issue in (*report.losses, *report.notes)}
    assert (str(path) in told) == (not (role == "vectors" and harm == "longer"))
    if role == "vectors" and harm == "half":
        assert 0.3 * N < len(found) < 0.5 * N


@pytest.mark.parametrize("role", ["metadata", "ids", "checksums"])
@pytest.mark.parametrize("place", [20, -4, -5])
def test_headers_and_trailers_are_judged_by_their_own_checksums(role, place, root, large_records):
    path = path_of(root, role)
    size = path.stat().st_size
    flip(path, place % size)

    report, found = salvaged(root)

    assert str(path) in {issue.path for issue in (*report.losses, *report.notes)}
    assert all(large_records[one] == record for one, record in found.items())
    # the last four bytes stand in the manifest too
    assert report.ok == (place == -4)
    assert found == (large_records if place == -4 else kept_by(large_records, report))


def test_nothing_is_taken_from_the_file_of_another_store(root, tmp_path):
    twin = path_of(write_large(tmp_path / "twin", "j"), "ids")
    assert twin.stat().st_size == path_of(root, "ids").stat().st_size
    shutil.copy(twin, path_of(root, "ids"))

    report, found = salvaged(root)

    assert found == {}
    assert "not those the manifest names" in report.losses[0].text


@pytest.mark.parametrize("role", ["vectors", "metadata", "ids"])
def test_bad_sectors_cost_their_blocks_and_no_more(role, root, large_records):
    path = path_of(root, role)
    medium = FailingMedium(path, BLOCK + 5000, BLOCK + 5001)

    by_sector = salvage_into(medium, root, root.with_name("by_sector"), None)
    flip(path, BLOCK + 5000)
    by_flip = salvage_into(Files(), root, root.with_name("by_flip"), None)

    assert by_sector == by_flip
    assert not by_sector.ok
    assert records(root.with_name("by_sector")) == records(root.with_name("by_flip"))


def test_a_medium_that_fails_for_another_reason_ends_the_repair(root, tmp_path):
    files = FailingFiles(0, counted=("read",), error=errno.EACCES, dead=True)

    with pytest.raises(OSError, match="Permission"):
        salvage_into(files, root, tmp_path / "out", None)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_nothing_but_what_was_written_is_saved_wherever_bits_flip(large_records, large, tmp_path):
    rng = np.random.default_rng(11)
    names = sorted(path.name for path in large.iterdir() if path.name != "LOCK")
    refusals = []

    for _ in range(25):
        root = shutil.copytree(large, tmp_path / "store")
        for name in rng.choice(names, 3):
            size = (root / name).stat().st_size
            flip(root / name, *rng.integers(size, size=3).tolist())
        try:
            report, found = salvaged(root)
            assert all(large_records[one] == record for one, record in found.items())
            assert set(large_records) - set(found) == set() or not report.ok
            shutil.rmtree(tmp_path / "out")
        except CorruptData as exc:
            refusals.append(exc.reason)
        shutil.rmtree(root)

    assert len(refusals) < 20
    assert all("no manifest is whole" in reason for reason in refusals)
