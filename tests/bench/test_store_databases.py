"""Every database behind the protocol of ``vecstore bench store``, ours and the peers alike."""

import gc
import os
import sys

import numpy as np
import pytest

from vecstore.bench.datasets import Wanted, load_dataset
from vecstore.bench.stores.database import POWER_LOSS, Setup
from vecstore.bench.stores.records import make_records
from vecstore.bench.stores.registry import (
    DISK,
    OURS,
    PEERS,
    YARDSTICK,
    check_peers,
    contestants,
    make_database,
)
from vecstore.errors import InvalidInput, MissingExtra

DATA = load_dataset(Wanted("gaussian:n=1300,dim=16,intrinsic=8,queries=1"))
RECORDS = make_records(DATA.base)
EVERYONE = contestants(tuple(PEERS))
LOADED = [one for one in EVERYONE if one.variant.bulk]
WRITTEN = [one for one in EVERYONE if one.variant.singles]

pytestmark = pytest.mark.filterwarnings("ignore")  # peers warn of this and that


@pytest.fixture(autouse=True)
def collected():
    """Peers leave files open: they are to be closed here, where no warning is an error."""
    yield
    gc.collect()


def made(one, path, metric="euclidean"):
    """The database of a contestant, or a skipped test where it is not installed."""
    if one.name in PEERS:
        pytest.importorskip(PEERS[one.name].package, reason=f"{one.name} is not installed")
    return make_database(one.name, Setup(str(path), 16, metric, one.variant.label, 8, 40))


def title(one):
    return one.title


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("one", LOADED, ids=title)
def test_loaded_records_are_all_there_and_find_themselves(one, metric, tmp_path):
    database = made(one, tmp_path / "database", metric)
    database.warm()
    database.create()

    database.load(RECORDS)
    database.build()

    assert database.count() == 1300
    asked = range(0, 1300, 130)
    assert [database.nearest(DATA.base[row]) for row in asked] == [RECORDS.ids[r] for r in asked]
    facts = database.facts()
    assert facts.version[0].isdigit()
    assert facts.told
    database.close()
    assert any((tmp_path / "database").rglob("*"))


@pytest.mark.parametrize("one", [one for one in WRITTEN if one.name != DISK], ids=title)
def test_an_upsert_replaces_the_record_of_its_id(one, tmp_path):
    database = made(one, tmp_path / "database")
    database.create()

    for record in zip(*make_records(DATA.base[:5]), strict=True):
        database.upsert(*record)
    away = -DATA.base[2]
    database.upsert(RECORDS.ids[2], away, {"rank": 1})

    assert database.count() == 5
    assert database.nearest(away) == RECORDS.ids[2]
    assert database.nearest(DATA.base[2]) != RECORDS.ids[2]
    assert database.nearest(DATA.base[4]) == RECORDS.ids[4]
    database.close()


def test_the_disk_alone_writes_the_same_bytes_within_its_room(tmp_path, monkeypatch):
    from vecstore.bench.stores import disk

    monkeypatch.setattr(disk, "_ROOM", 1000)
    (one,) = [one for one in EVERYONE if one.name == DISK]
    alone = made(one, tmp_path / "disk")
    alone.create()

    for record in zip(*make_records(DATA.base[:9]), strict=True):
        alone.upsert(*record)

    alone.close()
    content = (tmp_path / "disk" / "log").read_bytes()
    assert len(content) == 1000
    assert RECORDS.ids[0].encode() not in content, "the ninth record begins where the first did"
    assert RECORDS.ids[8].encode() + DATA.base[8].tobytes() in content


def test_sqlite_runs_as_its_label_says(tmp_path):
    told = {}
    for one in EVERYONE:
        if one.name == YARDSTICK:
            database = made(one, tmp_path / one.variant.label)
            database.create()
            told[one.variant.label] = database.facts().told
            database.close()

    assert told == {
        "WAL, FULL": "journal_mode=wal, synchronous=2, page_size=4096",
        "default": "journal_mode=delete, synchronous=2, page_size=4096",
    }


def test_ours_is_run_at_every_level_and_compared_at_the_safest():
    ours = [one.variant for one in EVERYONE if one.name == OURS]

    assert [one.label for one in ours] == ["full", "interval", "off"]
    assert [one.survives == POWER_LOSS for one in ours] == [True, False, False]
    assert [one.label for one in ours if one.bulk] == ["full"]
    assert EVERYONE[0].name == OURS


@pytest.mark.parametrize("one", [one for one in WRITTEN if one.name == "milvus-lite"], ids=title)
def test_milvus_syncs_every_write_where_it_is_told_to(one, tmp_path, monkeypatch):
    database = made(one, tmp_path / "database")
    database.create()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    for record in zip(*make_records(DATA.base[:3]), strict=True):
        database.upsert(*record)

    assert len(synced) == (3 if one.variant.survives == POWER_LOSS else 0)
    database.close()


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_is_not_installed_is_refused_with_the_extra(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, PEERS[name].package, None)
    setup = Setup(str(tmp_path / "x"), 16, "euclidean", "default")

    for refused in (lambda: check_peers([name]), lambda: make_database(name, setup)):
        with pytest.raises(MissingExtra, match=r"vecstore-numba\[bench-db\]") as caught:
            refused()
        assert caught.value.package == name


@pytest.mark.parametrize("name", PEERS)
def test_a_metric_that_a_peer_does_not_know_is_refused(name, tmp_path):
    pytest.importorskip(PEERS[name].package, reason=f"{name} is not installed")
    setup = Setup(str(tmp_path / "x"), 16, "canberra", "default")

    with pytest.raises(InvalidInput, match=f"{name} knows: cosine, euclidean, dot"):
        make_database(name, setup)


def test_names_that_are_not_known_are_refused_with_those_that_are():
    with pytest.raises(InvalidInput, match="chromadb, lancedb, qdrant-client, milvus-lite"):
        check_peers(["pinecone"])


def test_rows_are_not_changed_by_being_loaded():
    np.testing.assert_array_equal(
        DATA.base, load_dataset(Wanted("gaussian:n=1300,dim=16,intrinsic=8,queries=1")).base
    )
