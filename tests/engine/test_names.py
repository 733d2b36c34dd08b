"""Ids and slots: the newest slot of an id, for every view, in memory and mapped."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecstore.engine.names import MappedBlobs, Names, hash_id, packed
from vecstore.errors import CorruptData

ids = st.sampled_from(["a", "b", "c", "", "ä", "a\x00"])


def newest(history, record_id):
    found = [slot for slot, name in enumerate(history) if name == record_id]
    return found[-1] if found else -1


def filled(history):
    names = Names()
    for slot, record_id in enumerate(history):
        names.append(slot, record_id)
    return names


@settings(database=None)
@given(history=st.lists(ids, max_size=12))
def test_find_gives_the_newest_slot_of_every_view_when_ids_repeat(history):
    names = filled(history)

    for n in range(len(history) + 1):
        for record_id in ("a", "b", "ä", "", "other"):
            assert names.find(record_id, n) == newest(history[:n], record_id)
    assert [names.id_of(slot) for slot in range(len(history))] == history


@settings(database=None)
@given(history=st.lists(ids, max_size=12), kept=st.integers(0, 12), more=st.lists(ids, max_size=5))
def test_cut_leaves_no_trace_when_others_are_appended_later(history, kept, more):
    kept = min(kept, len(history))
    names = filled(history)

    names.cut(kept)

    expected = history[:kept] + more
    earlier = [names.append(slot, more[slot - kept]) for slot in range(kept, len(expected))]
    assert earlier == [
        newest(expected[:slot], expected[slot]) for slot in range(kept, len(expected))
    ]
    for record_id in ("a", "b", "c", "ä"):
        assert names.find(record_id, len(expected)) == newest(expected, record_id)


@settings(database=None)
@given(stored=st.lists(ids, max_size=8), recent=st.lists(ids, max_size=8), cut=st.integers(0, 8))
def test_mapped_names_answer_as_those_in_memory_when_more_come(stored, recent, cut):
    kept = np.array([newest(stored, name) == slot for slot, name in enumerate(stored)], np.bool_)
    names = Names(Path("ids"), filled(stored).sections(kept))
    for slot, record_id in enumerate(recent, len(stored)):
        names.append(slot, record_id)
    names.cut(len(stored) + min(cut, len(recent)))

    history = stored + recent[:cut]
    assert [names.id_of(slot) for slot in range(len(history))] == history
    for record_id in ("a", "b", "c", "", "ä", "a\x00", "other"):
        assert names.find(record_id, len(history)) == newest(history, record_id)


def test_sections_lead_to_kept_slots_only_when_records_died():
    names = filled(["gone", "kept", "again", "again"])

    sections = names.sections(np.array([False, True, False, True]))

    mapped = Names(Path("ids"), sections)
    assert sorted(sections["slots"].tolist()) == [1, 3]
    assert [mapped.find(name, 4) for name in ("gone", "kept", "again")] == [-1, 1, 3]
    assert [mapped.id_of(slot) for slot in range(4)] == ["gone", "kept", "again", "again"]
    many = mapped.ids_of([3, 0, 3, 1])
    assert many.tolist() == ["again", "gone", "again", "kept"]
    assert {type(name) for name in many} == {str}
    assert mapped.ids_of([]).tolist() == []


def test_find_tells_ids_apart_when_their_hashes_are_equal():
    sections = filled(["one", "two"]).sections(np.ones(2, np.bool_))
    sections["hashes"] = np.full(2, hash_id("two"), np.uint64)
    sections["slots"] = np.array([0, 1], np.int32)

    names = Names(Path("ids"), sections)

    assert (names.find("two", 2), names.find("other", 2)) == (1, -1)


def test_hash_id_stays_the_same_when_files_outlive_versions():
    assert hash_id("vecstore") == 0xC91B8227E635880E


@settings(database=None)
@given(
    stored=st.lists(ids, max_size=8),
    early=st.lists(ids, max_size=6),
    late=st.lists(ids, max_size=6),
    at_once=st.booleans(),
)
def test_names_of_a_new_generation_answer_as_the_old_when_they_took_over_the_rest(
    stored, early, late, at_once
):
    kept = np.array([newest(stored, name) == slot for slot, name in enumerate(stored)], np.bool_)
    old = Names(Path("ids"), filled(stored).sections(kept)) if stored else Names()
    for slot, record_id in enumerate(early, len(stored)):
        old.append(slot, record_id)
    written = stored + early
    leads = np.array([newest(written, name) == slot for slot, name in enumerate(written)], np.bool_)
    new = Names(Path("ids"), old.sections(leads))
    for slot, record_id in enumerate(late, len(written)):
        old.append(slot, record_id)

    history = written + late
    for n in [len(history)] if at_once else range(len(written), len(history) + 1):
        new.take_over(old, n)

    assert [new.id_of(slot) for slot in range(len(history))] == history
    for record_id in ("a", "b", "c", "", "ä", "a\x00", "other"):
        for n in range(len(written), len(history) + 1):
            assert new.find(record_id, n) == newest(history[:n], record_id)
    new.cut(len(written))
    for record_id in ("a", "b", "c", "", "ä", "a\x00", "other"):
        assert new.find(record_id, len(written)) == newest(written, record_id)


def test_sections_hold_the_first_slots_only_when_more_came_meanwhile():
    names = filled(["a", "b", "a", "c"])

    mapped = Names(Path("ids"), names.sections(np.array([True, True])))

    assert [mapped.id_of(slot) for slot in range(2)] == ["a", "b"]
    assert [mapped.find(name, 2) for name in ("a", "b", "c")] == [0, 1, -1]


blobs_in_parts = st.lists(st.tuples(st.booleans(), st.lists(st.binary(max_size=3), max_size=4)))


@settings(database=None)
@given(parts=blobs_in_parts)
def test_blobs_come_back_when_some_of_them_were_mapped_already(parts):
    whole = [
        MappedBlobs(Path("x"), *packed([blobs])) if is_mapped else blobs
        for is_mapped, blobs in parts
    ]

    mapped = MappedBlobs(Path("x"), *packed(whole))

    assert [mapped[i] for i in range(len(mapped))] == [one for _, blobs in parts for one in blobs]


def test_a_part_of_mapped_blobs_is_copied_alone_when_it_is_packed_again():
    mapped = MappedBlobs(Path("x"), *packed([[b"one", b"two", b"three"]]))

    offsets, blob = packed([mapped.part(1, 2), [b"four"]])

    assert (offsets.tolist(), blob.tobytes()) == ([0, 3, 7], b"twofour")


@pytest.mark.parametrize(
    "offsets", [[0, -1, 3], [0, 4, 3], [0, 2**62, 3], [-5, 1, 3], [3, 2, 3], [0, 1, 4]], ids=str
)
def test_mapped_blobs_are_not_copied_when_their_offsets_lie(offsets):
    blobs = MappedBlobs(Path("x"), np.array(offsets), np.frombuffer(b"abc", np.uint8))

    with pytest.raises(CorruptData, match="x: damaged"):
        packed([blobs])


def test_blobs_come_back_when_packed():
    blobs = [b"", b"abc", b"\x00", b""]

    mapped = MappedBlobs(Path("x"), *packed([blobs]))

    assert [mapped[i] for i in range(len(mapped))] == blobs
    assert [mapped.part(1, 3)[i] for i in range(2)] == blobs[1:3]


@pytest.mark.parametrize(
    "offsets", [[0, -1, 3], [0, 4, 3], [0, 2**62, 3], [-5, 1, 3], [3, 2, 3]], ids=str
)
def test_blobs_raise_corrupt_data_when_offsets_lie(offsets):
    blobs = MappedBlobs(Path("x"), np.array(offsets), np.frombuffer(b"abc", np.uint8))

    with pytest.raises(CorruptData, match="x: damaged"):
        _ = [blobs[i] for i in range(2)]


def test_decoded_raises_corrupt_data_when_bytes_are_no_utf8():
    blobs = MappedBlobs(Path("x"), *packed([[b"\xff\xfe"]]))

    with pytest.raises(CorruptData, match="UTF-8"):
        blobs.decoded(0)


def test_a_damaged_slot_in_the_hash_table_is_passed_over_when_it_lies_outside():
    sections = filled(["one"]).sections(np.ones(1, np.bool_))

    for slot in (-1, 1, 2**31 - 1):
        sections["slots"] = np.array([slot], np.int32)
        assert Names(Path("ids"), sections).find("one", 1) == -1


def test_find_looks_again_when_a_slot_went_to_another_id_meanwhile():
    names = Names()
    names.append(0, "a")
    names.append(1, "b")
    names.append(2, "a")
    recent = {"a": names._recent["a"]}  # what a reader saw before the writer took the slot back
    names.cut(2)
    names.append(2, "b")

    class Stale(dict):
        """Gives the outdated answer once, as the race does."""

        def get(self, key, default=None):
            return recent.pop(key, None) or super().get(key, default)

    names._recent = Stale(names._recent)

    assert names.find("a", 2) == 0
    assert names.find("b", 3) == 2
