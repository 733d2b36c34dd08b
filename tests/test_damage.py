"""
Scenarios: a store directory in which anything at all is wrong.

Everything that may reach a kernel runs in a process of its own, so that a crash of it is a failed
test with a name and a traceback. The ways to damage are in `tests/storage`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vecstore
from tests.storage.damage import (
    NOW,
    build_everything,
    check_error,
    damages,
    named_bytes,
    roles,
)
from tests.storage.watching import let_go
from vecstore.engine.saver import CLOSE_BYTES
from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.files import Files
from vecstore.storage.manifest import read_current

REPOSITORY = Path(__file__).parents[1]
ROLES = [
    "CURRENT",
    "LOCK",
    "checksums",
    "hnsw_index",
    "ids",
    "manifest",
    "metadata",
    "vectors",
    "wal",
    "wal-last",
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Give a directory with two stores, "pristine" and "twin", whose files have the same sizes."""
    directory = tmp_path_factory.mktemp("damage")
    build_everything(directory / "pristine", 1)
    for seed in range(2, 99):  # numbers of the manifest have as many digits as they have
        build_everything(directory / "twin", seed)
        if sizes(directory / "twin") == sizes(directory / "pristine"):
            break
        shutil.rmtree(directory / "twin")
    return directory


def run_apart(module, *arguments, **environment):
    """Run a module of this suite in a process of its own; return the last line on each case."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", module, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    last = {(line["group"], line["label"]): line for line in lines}
    assert last, done.stderr[-5000:]
    crashed = [case for case, line in last.items() if line["outcome"] == "crashed"]
    assert done.returncode == 0, (crashed, done.stderr[-5000:])
    return last


def failures(cases, group):
    """List what went wrong, short enough to be read."""
    return [
        f"{line['label']}: {line['error'].strip()[-600:]}"
        for line in cases.values()
        if line["group"] == group and line["outcome"] in ("failed", "crashed")
    ]


def image(root):
    """Give the files of a store, byte for byte, but for the lock."""
    return {path.name: path.read_bytes() for path in root.iterdir() if path.name != "LOCK"}


def sizes(root):
    return {name: len(data) for name, data in image(root).items()}


def outcomes(cases, group):
    return {line["label"]: line["outcome"] for line in cases.values() if line["group"] == group}


@pytest.fixture(scope="module")
def used(stores):
    """Open and use a store once for every damage; give the outcomes."""
    return run_apart("tests.storage.damage", stores)


def test_twin_store_has_files_of_the_same_sizes_when_built_from_other_vectors(stores):
    pristine, twin = stores / "pristine", stores / "twin"

    assert sizes(pristine) == sizes(twin)
    assert image(pristine) != image(twin)
    assert sorted(roles(pristine)) == ROLES


@pytest.mark.parametrize("role", ROLES)
def test_store_refuses_or_answers_when_a_file_is_damaged(role, used):
    assert failures(used, role) == []


@pytest.mark.parametrize("group", ["values", "fields", "calls"])
def test_store_refuses_or_answers_when_checksums_are_right_but_contents_are_not(group, used):
    assert failures(used, group) == []


@pytest.mark.parametrize("role", [role for role in ROLES if role not in ("LOCK", "wal-last")])
def test_store_is_refused_by_open_when_a_file_is_missing_cut_or_emptied(role, stores, used):
    named = named_bytes(stores / "pristine")[role]
    found = outcomes(used, role)

    cut = {label: int(label.split()[-1]) for label in found if label.startswith("cut")}

    assert found["missing"] == "refused"
    assert sum(size < named for size in cut.values()) >= 3
    for label, size in cut.items():
        assert found[label] == ("refused" if size < named else "answered"), label


# the rows of another store have the same length, and ids may be equal
FOREIGN = [role for role in ROLES if role not in ("LOCK", "vectors", "ids")]


@pytest.mark.parametrize("role", FOREIGN)
def test_store_is_refused_by_open_when_a_file_is_of_another_store(role, used):
    found = outcomes(used, role)

    assert (found["of another store"], found["random"]) == ("refused", "refused")


@pytest.mark.parametrize("role", ROLES)
def test_store_is_refused_by_open_when_a_file_of_a_given_length_is_longer(role, used):
    found = outcomes(used, role)

    told = {found[label] for label in found if "longer" in label}

    # a lock's bytes do not matter, rows and logs may have a torn end
    beyond = role in ("LOCK", "vectors", "wal", "wal-last")
    assert told == {"answered" if beyond else "refused"}


@pytest.mark.parametrize("role", ["wal", "wal-last"])
def test_store_is_refused_by_open_when_a_log_is_changed_where_it_was_durable(role, stores, used):
    named = named_bytes(stores / "pristine")[role]
    found = outcomes(used, role)

    told = {True: set(), False: set()}
    for label, outcome in found.items():
        if label.startswith(("bit", "zero page", "random page", "swapped")):
            at = int(label.split()[1 if label.startswith("swapped") else -1])
            told[at < named].add(outcome)

    assert told == {True: {"refused"}, False: {"answered"} if role == "wal-last" else set()}


def test_a_prefix_of_the_calls_is_left_when_the_last_log_is_cut_anywhere(stores, tmp_path):
    # what was cut off took with it what it said of those before: nobody can know of them
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)["wal-last"]
    raw, seqnos = path.read_bytes(), []
    for size in range(len(raw), -1, -1):
        path.write_bytes(raw[:size])
        with vecstore.open(root, mode="r", check="full", clock=lambda: NOW) as store:
            seqnos.append(store.stats().seqno)
            if size % 50 == 0:
                assert store.verify().ok
    with vecstore.open(stores / "pristine", mode="r") as store:
        last = store.stats().seqno

    assert seqnos == sorted(seqnos, reverse=True)
    assert set(seqnos) == set(range(last - 11, last + 1))
    assert seqnos[0] == last


def test_store_is_answered_from_when_only_its_lock_file_is_damaged(used):
    assert set(outcomes(used, "LOCK").values()) == {"answered"}


def test_damage_reaches_the_kernels_when_a_graph_or_rows_are_damaged(used):
    # with right checksums nothing is noticed; else the queries are answered, and the checkpoint
    # that comes after them notices
    assert list(outcomes(used, "values").values()).count("answered") > 20
    for role in ("hnsw_index", "vectors"):
        assert list(outcomes(used, role).values()).count("noticed") > 20


def is_found(role, raw, data, named):
    """Say whether a file was changed in bytes that count, and what tells of them is left."""
    if role == "wal-last":
        left = data.rstrip(b"\0")
        if not data or (len(left) < len(raw) and raw.startswith(left)):
            return False  # it was cut, see above
    return data[:named] != raw[:named]


@pytest.mark.parametrize("role", [role for role in ROLES if role != "LOCK"])
def test_full_check_and_verify_find_the_damage_when_any_byte_that_counts_is_changed(
    role, stores, tmp_path
):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path, named = root / roles(root)[role], named_bytes(root)[role]
    raw = path.read_bytes()
    checked = 0

    for group, label, damage in damages(stores / "pristine", stores / "twin", 97):
        if group != role:
            continue
        damage(root)
        if not is_found(role, raw, path.read_bytes() if path.exists() else b"", named):
            path.write_bytes(raw)
            continue
        before = image(root)
        with pytest.raises((CorruptData, UnsupportedFormat)) as caught:
            vecstore.open(root, mode="ar"[checked % 2], check="full").close()
        check_error(root, caught.value)
        if isinstance(caught.value, UnsupportedFormat):
            # only the version itself may read as a newer one
            versions = [f"bit {1 << bit} at {at}" for at in range(8, 12) for bit in range(8)]
            assert label in versions
        assert verified(root) in ("refused", "told"), label
        assert image(root) == before
        path.write_bytes(raw)
        checked += 1

    assert checked >= 40, checked
    vecstore.open(root, check="full").close()


def verified(root):
    """Say what becomes of a store: open may refuse it, or else `verify` tell what is wrong."""
    try:
        store = vecstore.open(root, mode="r")
    except (CorruptData, UnsupportedFormat):
        return "refused"
    with store:
        return "sound" if store.verify().ok else "told"


@pytest.mark.parametrize("role", ["vectors", "wal", "wal-last", "LOCK"])
def test_a_store_is_sound_when_only_bytes_that_do_not_count_are_changed(role, stores, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)[role]
    raw, named = path.read_bytes(), named_bytes(root)[role]

    for more in (b"", b"\0", b"junk" * 5000):
        path.write_bytes(raw[:named] + more)

        assert verified(root) == "sound"
        for mode in "ra":
            with vecstore.open(root, mode=mode, check="full", clock=lambda: NOW) as store:
                assert store.get("later0").metadata == {"word": "later"}
        path.write_bytes(raw)


def test_torn_bytes_are_counted_and_cut_off_when_a_log_has_them(stores, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)["wal-last"]
    raw = path.read_bytes()

    path.write_bytes(raw + b"junk" * 100 + bytes(3000))

    with vecstore.open(root, mode="r") as store:
        assert store.stats().torn_bytes == 0  # its writer may still be at it
    with vecstore.open(root) as store:
        assert store.stats().torn_bytes == 400
    assert path.read_bytes() == raw
    with vecstore.open(root) as store:
        assert store.stats().torn_bytes == 0


def test_full_check_passes_when_only_bytes_behind_the_rows_are_changed(stores, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)["vectors"]
    named = read_current(Files(), root).files["vectors"].length

    path.write_bytes(path.read_bytes()[:named] + b"junk" * 5000)

    with vecstore.open(root, check="full") as store:
        assert store.get("id0050").id == "id0050"


def test_lock_is_free_again_when_open_refused_a_damaged_store(stores, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    current = root / "CURRENT"
    raw = current.read_bytes()
    current.write_bytes(b"damaged")

    with pytest.raises(CorruptData):
        vecstore.open(root)
    current.write_bytes(raw)

    vecstore.open(root).close()


@pytest.mark.parametrize(
    "role", ["CURRENT", "manifest", "vectors", "ids", "LOCK", "wal", "wal-last"]
)
def test_open_raises_corrupt_data_when_a_directory_stands_in_the_place_of_a_file(
    role, stores, tmp_path
):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)[role]
    path.unlink()
    path.mkdir()

    with pytest.raises(CorruptData) as caught:
        vecstore.open(root)

    assert caught.value.path == path


def test_rows_of_another_store_are_found_by_the_full_check_alone_when_sizes_agree(stores, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    name = roles(root)["vectors"]
    shutil.copy(stores / "twin" / name, root)

    vecstore.open(root).close()
    with pytest.raises(CorruptData) as caught:
        vecstore.open(root, check="full")

    assert (caught.value.path, caught.value.offset) == (root / name, 0)


def test_get_raises_corrupt_data_when_its_metadata_is_damaged(stores, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)["metadata"]
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\xa4text\xa9", b"\xa4text\xc1"))

    with vecstore.open(root) as store, pytest.raises(CorruptData) as caught:
        store.get("id0050")

    check_error(root, caught.value)


def test_calls_that_cannot_have_been_made_are_refused_when_their_checksums_are_right(used):
    found = outcomes(used, "calls")

    impossible = ["a number", "a map", "bytes 0", "code 0", "fields missing and too many"]
    impossible += [f"{call} of 'nobody'" for call in ("delete", "restore", "set_ttl")]
    impossible += ["the good before the bad", "upsert: dim 7", "upsert: ids []"]

    assert {found[label] for label in impossible} == {"refused"}
    assert list(found.values()).count("refused") > 100


def test_search_and_build_stay_in_bounds_when_a_graph_is_garbage():
    cases = run_apart("tests.storage.damaged_graphs")

    assert failures(cases, "graph") == []
    assert len(cases) > 70


def test_search_and_build_index_in_bounds_when_a_graph_is_garbage_and_bounds_are_checked(
    tmp_path,
):
    cases = run_apart(
        "tests.storage.damaged_graphs", NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path)
    )

    assert failures(cases, "graph") == []
    assert len(cases) > 70


def test_bounds_are_checked_when_numba_is_told_to(tmp_path):
    # shows that the test above can fail: an array one element too short must be noticed
    program = (
        "import numpy as np\n"
        "from vecstore.kernels.topk import insert\n"
        "insert(np.zeros(0, np.uint64), 1, np.uint64(1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "IndexError" in done.stderr


@pytest.mark.parametrize("role", ["vectors", "metadata", "ids", "hnsw_index"])
@pytest.mark.parametrize("how", ["checkpoint", "close", "compact"])
def test_damage_is_not_written_down_as_sound_when_a_checkpoint_copies_it(
    role, how, stores, tmp_path
):
    root = tmp_path / "store"
    shutil.copytree(stores / "pristine", root)
    path = root / roles(root)[role]
    sound = path.read_bytes()
    raw = bytearray(sound)
    at = read_current(Files(), root).files[role].length - 40
    raw[at if role == "vectors" else len(raw) // 2] ^= 1
    path.write_bytes(raw)

    with pytest.raises(CorruptData) as caught:
        vecstore.open(root, check="full")
    assert caught.value.path == path
    store = vecstore.open(root, config={"maintenance": "inline"})
    store.upsert("another", store.index.rows[0, : store.dim], {"text": "x" * CLOSE_BYTES})
    # rows are appended to, not copied: they keep the checksums that tell of the damage
    copies = role != "vectors" or how == "compact"
    with let_go(store):
        with pytest.raises(CorruptData) if copies else contextlib.nullcontext():
            getattr(store, how)()
        assert store.closed == (how == "close")

    for mode in "ar":
        with pytest.raises(CorruptData) as caught:
            vecstore.open(root, mode=mode, check="full")
        assert caught.value.path == path
    sound = sound + path.read_bytes()[len(sound) :]
    path.write_bytes(sound)
    with vecstore.open(root, check="full") as store:
        assert "another" in store
