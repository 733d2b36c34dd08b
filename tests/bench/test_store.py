"""The document of ``vecstore bench store``: measured once, small, every part."""

import json
import sys

import pytest

from tests.bench.schema import check, common, promised
from tests.bench.test_report import shown
from vecstore.bench import store
from vecstore.bench.datasets import Wanted, load_dataset
from vecstore.bench.store import measure_store
from vecstore.bench.stores import singles
from vecstore.bench.stores.plan import PARTS, StoreRun
from vecstore.bench.stores.records import ingested_bytes, make_records
from vecstore.errors import InvalidInput, MissingExtra

WANTED = Wanted("clustered:n=400,dim=24,intrinsic=9,clusters=12,queries=5")
LARGE = Wanted("gaussian:n=3000,dim=16,intrinsic=8,queries=5")
EMPTY = ("settings.peers[]", "data.notes[]", "large.notes[]")
PLAN = StoreRun(
    WANTED,
    LARGE,
    rounds=2,
    loads=2,
    upserts=120,
    call=500,
    single=5,
    waits=700,
    checkpoints=2,
    m=6,
    ef_construction=30,
)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")

    measured = measure_store(PLAN._replace(directory=folder), None, ["bench", "store"])

    assert list(folder.iterdir()) == [], "databases were left behind"
    return measured


def test_the_document_has_the_promised_fields_and_survives_json(document):
    again = json.loads(json.dumps(document))

    assert again == document
    check(again, common() | promised(store), empty=EMPTY)
    assert (again["data"]["n"], again["large"]["n"]) == (400, 3000)
    assert again["settings"]["parts"] == list(PARTS)


def test_single_upserts_are_compared_with_sqlite_and_with_the_disk(document):
    rows = {(one["database"], one["label"]): one for one in document["singles"]}

    assert next(iter(rows)) == ("vecstore", "full")
    assert {("sqlite3", "WAL, FULL"), ("the disk alone", "fdatasync")} <= set(rows)
    full = rows["vecstore", "full"]
    for one in rows.values():
        assert one["count"] == 120
        assert one["upserts_per_s"] == max(one["rounds"])
        assert len(one["rounds"]) == 2
        assert one["ratio"] == full["upserts_per_s"] / one["upserts_per_s"]
        assert one["p50_us"] <= one["p90_us"] <= one["p99_us"] <= one["p99_9_us"] <= one["max_us"]
    assert rows["sqlite3", "WAL, FULL"]["told"].startswith("journal_mode=wal, synchronous=2")
    assert rows["vecstore", "off"]["survives"] != full["survives"]
    record = make_records(load_dataset(WANTED).base[:1])
    assert full["passed_bytes"] is None or full["passed_bytes"] >= ingested_bytes(record) - 40


def test_bulk_loads_hold_every_row_and_find_it(document):
    for one in document["bulk"]:
        steps = [one[step] for step in ("load_s", "build_s", "close_s", "sync_s")]

        assert one["count"] == 400
        assert one["found"] == 1.0
        assert one["seconds"] == min(one["rounds"]) == pytest.approx(sum(steps))
        assert one["disk_bytes"] >= 400 * 24 * 4
        assert one["ratio"] == document["bulk"][0]["seconds"] / one["seconds"]
    assert [one["graph"] for one in document["bulk"]] == ["HNSW", None]


def test_growing_counts_what_is_written_against_what_was_handed_over(document):
    grown, single = document["growing"], document["growing"]["single"]

    assert grown["ingested_bytes"] == ingested_bytes(make_records(load_dataset(LARGE).base))
    assert (grown["n"], grown["calls"], single["count"]) == (3000, 6, 25)
    assert grown["checkpoints"] >= 1
    if grown["passed_bytes"] is not None:
        assert grown["passed_per_byte"] == grown["passed_bytes"] / grown["ingested_bytes"] >= 1
    if grown["taken_bytes"] is not None:
        assert grown["taken_per_byte"] == grown["taken_bytes"] / grown["ingested_bytes"] >= 1


def test_stores_of_three_sizes_are_opened(document):
    assert [one["n"] for one in document["opening"]] == [30, 300, 3000]
    for one in document["opening"]:
        assert one["open_ms"] == min(one["rounds"]) > 0
        assert one["first_query_ms"] > 0
    small, _, large = document["opening"]
    assert large["data_bytes"] == document["growing"]["ingested_bytes"]
    assert small["data_bytes"] < large["data_bytes"] / 90
    if large["resident_bytes"] is not None:
        assert large["share"] == large["resident_bytes"] / large["data_bytes"]
        assert large["resident_bytes"] >= large["private_bytes"]


def test_every_upsert_into_the_large_store_is_in_one_group(document):
    waiting = document["waiting"]
    groups = {one["name"]: one for one in waiting["groups"]}

    assert list(groups) == ["all", "quiet", "absorb", "checkpoint"]
    assert groups["all"]["count"] == 700
    assert sum(one["count"] for one in groups.values()) == 2 * 700
    for one in groups.values():
        assert sum(one["counts"]) == one["count"]
        assert len(one["counts"]) == len(waiting["edges_us"]) + 1
    assert groups["all"]["max_us"] == max(
        one["max_us"] for one in groups.values() if one["count"] and one["name"] != "all"
    )
    assert len(waiting["checkpoint_s"]) == 2
    assert groups["checkpoint"]["count"] >= 2


def test_every_part_is_shown(document):
    text = shown(document)

    assert "vecstore (full)" in text
    assert "sqlite3 (WAL, FULL)" in text
    assert f"{document['growing']['checkpoints']} checkpoints" in text
    assert "3,000" in text
    assert "up to µs  quiet" in text
    assert "failed" not in text
    assert "journal_mode=wal" in text


def test_only_the_parts_that_are_asked_for_are_measured(tmp_path):
    plan = PLAN._replace(parts=("singles",), rounds=1, upserts=5, directory=tmp_path)
    nowhere = plan._replace(large=Wanted("nothing"))

    document = measure_store(nowhere, None, [])

    assert document["singles"][0]["count"] == 5
    assert [document[part] for part in PARTS[1:]] == [[], {}, [], {}]
    assert document["large"] == {}
    text = shown(document)
    assert "single upserts" in text
    assert "opening" not in text
    assert "loaded" not in text


def test_a_peer_that_failed_is_shown_with_its_reason(document):
    failed = dict.fromkeys(document["singles"][0]) | {
        "database": "other",
        "label": "default",
        "survives": "kill -9",
        "rounds": [],
        "failed": "singles ended with status 1: no space",
    }

    text = shown({**document, "singles": [*document["singles"], failed]})

    (row,) = [line for line in text.splitlines() if "│ other (default)" in line]
    assert [cell.strip() for cell in row.split("│")[2:-1]] == ["kill -9", "-", "-", "-", "-", "-"]
    assert "other (default) failed: singles ended with status 1: no space" in text


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (PLAN._replace(parts=("singles", "doubles")), "--parts"),
        (PLAN._replace(peers=("postgres",)), "chromadb, lancedb, qdrant-client, milvus-lite"),
        (PLAN._replace(rounds=0), "--rounds"),
        (PLAN._replace(loads=0), "--loads"),
        (PLAN._replace(upserts=0), "--upserts"),
        (PLAN._replace(call=0), "--call"),
        (PLAN._replace(single=-1), "--single"),
        (PLAN._replace(waits=0), "--waits"),
        (PLAN._replace(checkpoints=-1), "--checkpoints"),
        (PLAN._replace(most_s=0.0), "--most-s"),
        (PLAN._replace(most_s=float("nan")), "--most-s"),
        (PLAN._replace(wanted=WANTED._replace(n=singles.UNTIMED)), "--data"),
        (PLAN._replace(large=LARGE._replace(n=20)), "--large"),
    ],
)
def test_what_cannot_be_measured_is_refused(plan, told):
    with pytest.raises(InvalidInput, match=told):
        measure_store(plan, None, [])


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="--directory"):
        measure_store(PLAN._replace(directory=tmp_path / "none"), None, [])


def test_a_peer_that_is_not_installed_is_refused_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "chromadb", None)

    with pytest.raises(MissingExtra, match=r"vecstore-numba\[bench-db\]"):
        measure_store(PLAN._replace(peers=("chromadb",)), None, [])
