"""`verify`, `dump-log`, `repair`, `backup` and `restore`, run as programs."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import N_CALLS, filled, flip
from tests.storage.damage import abandon, image
from tests.test_cli import one_line, run


def path_of(root, role):
    (path,) = root.glob(f"{role}-*")
    return path


def ids(path):
    with vecstore.open(path, mode="r") as store:
        assert store.verify().ok
        return store.ids()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    root = tmp_path_factory.mktemp("maintenance") / "store"
    filled(root)
    return root


@pytest.fixture
def root(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "store")


# ---- verify


def test_verify_says_that_a_store_and_its_snapshots_are_whole(root):
    shown = run("verify", root, "--full")
    facts = json.loads(run("verify", root, "--json").stdout)

    assert shown.returncode == 0, shown.stderr
    assert f"{root}: whole" in shown.stdout
    assert "snapshot monday: whole" in shown.stdout
    assert (facts["ok"], facts["problems"], facts["torn_bytes"]) == (True, [], 0)
    assert facts["snapshots"]["monday"]["ok"] is True
    assert "not returned" in facts["findings"][0]["text"]


def test_verify_lists_every_damaged_file_and_fails(root):
    before = image(root)
    paths = [path_of(root, role) for role in ("ids", "vectors", "wal")]
    flip(paths[0], 300)
    flip(paths[1], 5000)
    flip(paths[2], 100)
    damaged = image(root)

    shown = run("verify", root)
    told = run("verify", root, "--json")

    assert (shown.returncode, told.returncode) == (1, 1)
    facts = json.loads(told.stdout)
    assert facts["ok"] is False
    assert {str(path) for path in paths} <= {issue["path"] for issue in facts["problems"]}
    for path in paths:
        assert f"{path} at byte " in shown.stdout
    assert "snapshot monday: whole" in shown.stdout  # a copy has files of its own
    assert not any("internal" in done.stderr for done in (shown, told))
    assert image(root) == damaged != before


def test_verify_tells_torn_bytes_and_succeeds(tmp_path):
    store = vecstore.open(tmp_path / "first", metric="l2")
    store.upsert("a", [1.0, 2.0])
    abandon(store)
    root = shutil.copytree(tmp_path / "first", tmp_path / "store")
    log = path_of(root, "wal")
    log.write_bytes(log.read_bytes().rstrip(b"\0") + b"torn")

    shown = run("verify", root)

    assert shown.returncode == 0, shown.stderr
    assert "4 bytes of a write that was cut short" in shown.stdout


def test_verify_works_while_another_process_writes(root):
    with vecstore.open(root, config={"maintenance": "inline"}) as store:
        store.upsert("more", np.ones(8))
        shown = run("verify", root)

    assert shown.returncode == 0, shown.stdout


# ---- dump-log


def test_dump_log_prints_the_frames(root):
    shown = run("dump-log", root)
    one = run("dump-log", path_of(root, "wal"), "--json")

    assert shown.returncode == one.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("wal-000002.log: log 2 after call ")
    assert "upsert of 1 record: 'logged'; dim 8" in lines[1]
    assert "salt ok  crc ok" in lines[1]
    assert "delete 'id0050'" in lines[2]
    assert "mark" in lines[3]
    facts = [json.loads(line) for line in one.stdout.splitlines()]
    assert [fact["what"] for fact in facts] == ["log", "frame", "frame", "frame"]
    assert facts[1]["operations"] == ["upsert of 1 record: 'logged'; dim 8"]


def test_dump_log_prints_what_is_damaged(root):
    log = path_of(root, "wal")
    flip(log, 70)
    flip(log, 10)

    shown = run("dump-log", root)

    assert shown.returncode == 0, shown.stderr
    assert "DAMAGED: the header does not match its checksum" in shown.stdout
    assert "crc WRONG  DAMAGED" in shown.stdout
    assert "delete 'id0050'" in shown.stdout


# ---- repair


def test_repair_saves_everything_of_a_whole_store(root, tmp_path):
    before = image(root)

    done = run("repair", root, "--salvage", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert "nothing was lost" in done.stdout
    assert ids(tmp_path / "out") == ids(root)
    assert image(root) == before


def test_repair_lists_what_it_could_not_save(root, tmp_path):
    flip(path_of(root, "metadata"), 3000)
    flip(path_of(root, "wal"), 70)

    shown = run("repair", root, "--salvage", tmp_path / "out")
    told = run("repair", root, "--salvage", tmp_path / "again", "--json")

    assert (shown.returncode, told.returncode) == (1, 1)
    assert "something was lost" in shown.stdout
    assert f"lost   {path_of(root, 'metadata')} at byte 0: " in shown.stdout
    assert f"call {N_CALLS - 1} is lost" in shown.stdout
    facts = json.loads(told.stdout)
    assert facts["ok"] is False
    assert (facts["records"], facts["soft_deleted"]) == (0, 0)
    lost = facts["losses"][0]
    assert lost["path"] == str(path_of(root, "metadata"))
    assert "id0100" in lost["ids"]
    assert len(lost["slots"]) > 300
    assert ids(tmp_path / "out") == []


def test_repair_takes_a_snapshot_where_the_store_is_beyond_help(root, tmp_path):
    path_of(root, "manifest").unlink()

    refused = run("repair", root, "--salvage", tmp_path / "out")
    done = run("repair", root, "--salvage", tmp_path / "out", "--snapshot", "monday")

    assert refused.returncode == 1
    assert one_line(refused.stderr)
    assert "there are snapshots: monday" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert "id0050" in ids(tmp_path / "out")


# ---- backup and restore


def test_backup_and_restore_through_a_file(root, tmp_path):
    saved = run("backup", root, tmp_path / "store.tar")
    restored = run("restore", tmp_path / "store.tar", tmp_path / "copy")

    assert saved.returncode == restored.returncode == 0, (saved.stderr, restored.stderr)
    assert f"{N_CALLS} write calls" in saved.stderr
    assert saved.stdout == restored.stdout == ""
    assert ids(tmp_path / "copy") == ids(root)


def test_backup_and_restore_through_a_pipe(root, tmp_path):
    program = f"{sys.executable} -m vecstore"
    line = f'{program} backup "{root}" - | {program} restore - "{tmp_path}/copy"'

    done = subprocess.run(
        line, shell=True, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert ids(tmp_path / "copy") == ids(root)


def test_backup_of_a_snapshot(root, tmp_path):
    run("backup", root, tmp_path / "store.tar", "--snapshot", "monday")
    run("restore", tmp_path / "store.tar", tmp_path / "copy")

    assert "id0050" in ids(tmp_path / "copy")
    assert "logged" not in ids(tmp_path / "copy")


def test_a_pipe_that_ends_early_leaves_nothing(root, tmp_path):
    flip(path_of(root, "vectors"), 5000)

    saved = subprocess.run(
        [sys.executable, "-m", "vecstore", "backup", str(root), "-"],
        capture_output=True,
        timeout=300,
        check=False,
    )
    restored = subprocess.run(
        [sys.executable, "-m", "vecstore", "restore", "-", str(tmp_path / "copy")],
        input=saved.stdout,
        capture_output=True,
        timeout=300,
        check=False,
    )

    assert (saved.returncode, restored.returncode) == (1, 1)
    assert one_line(saved.stderr.decode())
    assert b"the archive ends here" in restored.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["verify", "{missing}"], 1, "not a store"),
        (["verify"], 2, "PATH"),
        (["verify", "{store}", "--nonsense"], 2, "--nonsense"),
        (["dump-log", "{missing}"], 1, "not a store"),
        (["repair", "{store}"], 2, "--salvage"),
        (["repair", "{store}", "--salvage", "{foreign}"], 1, "exists already"),
        (["repair", "{store}", "--salvage", "{store}/inside"], 2, "outside"),
        (["repair", "{foreign}", "--salvage", "{missing}"], 1, "not a store"),
        (
            ["repair", "{store}", "--salvage", "{missing}", "--snapshot", "no"],
            1,
            "no snapshot",
        ),
        (["backup", "{store}", "{foreign}"], 1, "exists already"),
        (["backup", "{missing}", "-"], 1, "not a store"),
        (["backup", "{store}", "-", "--snapshot", "../x"], 2, "backup(snapshot)"),
        (["backup", "{store}"], 2, "OUT"),
        (["restore", "{missing}", "{missing}"], 1, "No such file"),
        (["restore", "{letter}", "{missing}"], 1, "no tar archive"),
        (["restore", "{letter}", "{foreign}"], 1, "exists already"),
    ],
)
def test_errors_are_one_line_and_a_status(arguments, status, told, pristine, tmp_path):
    places = {"store": pristine, "missing": tmp_path / "missing", "foreign": tmp_path / "foreign"}
    places["letter"] = tmp_path / "foreign" / "letter.txt"
    places["foreign"].mkdir()
    places["letter"].write_text("dear reader" * 100)
    before = image(tmp_path)

    done = run(*(argument.format(**places) for argument in arguments))

    assert done.returncode == status, done.stderr
    assert one_line(done.stderr), done.stderr
    assert told in done.stderr
    assert image(tmp_path) == before
    assert not places["missing"].exists()


def test_an_archive_is_not_written_to_a_terminal(pristine):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()

    done = subprocess.run(
        [sys.executable, "-m", "vecstore", "backup", str(pristine), "-"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(theirs)
    os.close(ours)

    assert done.returncode == 2
    assert "not for a terminal" in done.stderr
