"""``vecstore bench store`` as users run it."""

import json
import os
import subprocess
import sys

import pytest

SMALL = ("--data", "wordnet20k", "--n", "300", "--rounds", "1", "--upserts", "20")


@pytest.fixture
def run(tmp_path):
    def _run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "vecstore", "bench", "store", "--no-pin", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env={**os.environ, "VECSTORE_DATA": str(tmp_path), "COLUMNS": "120"},
            check=False,
        )

    return _run


def test_the_command_writes_its_document_and_shows_its_tables(run, tmp_path):
    done = run(
        *SMALL,
        "--parts",
        "singles,bulk",
        "--loads",
        "1",
        "--m",
        "8",
        "--threads",
        "2",
        "--out",
        "mine",
    )

    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "mine" / "wordnet20k").iterdir()
    assert path.name.startswith("store-")
    document = json.loads(path.read_text())
    assert document["settings"]["m"] == 8
    assert "threads=2, m=8" in document["bulk"][0]["told"]
    assert document["singles"][0]["count"] == 20
    assert document["data"]["n"] == 300
    assert "vecstore (full)" in done.stdout
    assert "single upserts" in done.stdout
    assert "singles, round 1 of 1: vecstore (full)" in done.stderr
    assert {entry.name for entry in tmp_path.iterdir()} == {"mine"}


def test_json_goes_alone_to_standard_output(run):
    large = ("--large", "gaussian:dim=8,queries=5", "--large-n", "1200", "--waits", "50")

    done = run(*SMALL, "--parts", "opening,waiting", *large, "--json", "--checkpoints", "1")

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [one["n"] for one in document["opening"]] == [12, 120, 1200]
    assert document["waiting"]["groups"][0]["count"] == 50
    assert (document["singles"], document["growing"]) == ([], {})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--data"),
        ([*SMALL, "--parts", "halves"], "singles, bulk, growing"),
        ([*SMALL, "--peers", "postgres"], "chromadb"),
        ([*SMALL, "--directory", "nowhere"], "--directory"),
        ([*SMALL, "--upserts", "0"], "--upserts"),
        ([*SMALL, "--threads", "0"], "--threads"),
        ([*SMALL, "--large", "nothing"], "wordnet20k"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(run, tmp_path, arguments, told):
    done = run(*arguments)

    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("vecstore: ")
    assert told in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
