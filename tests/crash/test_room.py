"""Scenario: a real disk is full, or a file may not grow; then there is room again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TMPFS = "mount -t tmpfs -o size=6m tmpfs {0} && {1} fill {0} && {1} reopen {0}"


def run(command):
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def can_mount():
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    command = [unshare, "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_store_is_readable_and_then_writable_again_when_a_file_may_not_grow(tmp_path):
    (told,) = run([sys.executable, "-m", "tests.crash.room", "limit", str(tmp_path)])

    assert told["passed"] >= 5


@pytest.mark.skipif(not can_mount(), reason="no small file system can be mounted here")
def test_nothing_acknowledged_is_lost_when_the_disk_was_full(tmp_path):
    room = f"{sys.executable} -m tests.crash.room"
    script = TMPFS.format(tmp_path, room)

    filled, reopened = run(["unshare", "--map-root-user", "--mount", "sh", "-c", script])

    assert filled["passed"] >= 5
    assert reopened["before"] == [*range(filled["passed"]), 1000]
