"""What a crash leaves: anything between what was synced and all that was done."""

import contextlib
import itertools

import numpy as np
import pytest

from tests.storage.crashing import CrashingFiles
from tests.storage.disks import (
    HOME,
    NEW,
    OLD,
    create_unsynced,
    left,
    lefts,
    outcome,
    random_step,
    with_files,
    write_unsynced,
)
from tests.storage.medium import (
    CONTENT,
    EMPTY,
    EVERYTHING,
    NAMES,
    NOTHING,
    SECTOR,
    Image,
    before,
    moments,
    seeded,
    since,
)

SEEDS = range(100)

# ---- files


@pytest.mark.parametrize("choice", [NOTHING, EVERYTHING, CONTENT, NAMES, *map(seeded, range(9))])
def test_bytes_and_names_survive_every_crash_when_both_were_synced(choice):
    files = with_files(a=OLD, b=NEW)
    files.replace(HOME / "a", HOME / "c")
    files.sync_directory(HOME)
    file = files.open(HOME / "b")
    file.write(5, [b"xyz"])
    file.resize(100)
    file.sync()

    assert left(files, choice) == {"b": b"nnnnnxyz".ljust(100, b"n"), "c": OLD}


def test_every_mixture_of_sectors_may_be_left_when_none_was_synced():
    files = with_files(a=OLD)
    write_unsynced(files, "a", 0, NEW)

    sectors = itertools.product([OLD[:SECTOR], NEW[:SECTOR]], repeat=3)
    found = lefts(files, map(seeded, SEEDS))

    assert {tree["a"] for tree in found} == {b"".join(three) for three in sectors}
    assert left(files, NOTHING) == {"a": OLD}
    assert left(files, EVERYTHING) == {"a": NEW}


def test_sectors_are_whole_when_a_write_begins_and_ends_inside_of_them():
    files = with_files(a=OLD)
    write_unsynced(files, "a", 100, NEW[:600])

    found = {tree["a"] for tree in lefts(files, map(seeded, SEEDS))}

    first, second = OLD[:100] + NEW[:412], NEW[:188] + OLD[:324]
    rest = OLD[: 2 * SECTOR]
    assert found == {
        OLD,
        first + rest,
        OLD[:SECTOR] + second + OLD[:SECTOR],
        first + second + OLD[:SECTOR],
    }


def test_sector_is_as_it_was_at_one_moment_when_it_was_written_twice():
    files = with_files(a=b"....")
    write_unsynced(files, "a", 0, b"1")
    write_unsynced(files, "a", 1, b"2")
    write_unsynced(files, "a", 2, b"3")

    found = {tree["a"] for tree in lefts(files, map(seeded, SEEDS))}

    assert found == {b"....", b"1...", b"12..", b"123."}


def test_length_and_sectors_go_their_own_ways_when_a_file_grew():
    files = with_files(a=OLD[:SECTOR])
    write_unsynced(files, "a", SECTOR, NEW[:700])

    found = {tree["a"] for tree in lefts(files, map(seeded, SEEDS))}

    grown = [
        OLD[:SECTOR] + first + second
        for first in (bytes(SECTOR), NEW[:SECTOR])
        for second in (bytes(188), NEW[:188])
    ]
    assert found == {OLD[:SECTOR], *grown}
    assert left(files, NAMES) == {"a": OLD[:SECTOR]}


def test_old_bytes_may_come_back_when_a_file_was_cut():
    files = with_files(a=OLD)
    with contextlib.closing(files.open(HOME / "a")) as file:
        file.resize(100)
        file.resize(200)

    found = {tree["a"] for tree in lefts(files, map(seeded, SEEDS))}

    assert OLD in found
    assert OLD[:100] in found
    assert OLD[:100] + bytes(100) in found
    assert left(files, NOTHING) == {"a": OLD}


def test_file_may_be_empty_when_its_name_was_synced_and_its_bytes_were_not():
    files = with_files()
    create_unsynced(files, "a", NEW)
    files.sync_directory(HOME)

    found = [tree["a"] for tree in lefts(files, map(seeded, SEEDS))]

    assert left(files, NOTHING) == {"a": b""}
    assert b"" in found
    assert bytes(len(NEW)) in found
    assert NEW in found


def test_bytes_are_lost_with_the_name_when_only_the_file_was_synced():
    files = with_files()
    files.write_new(HOME / "a", [NEW])

    assert left(files, NOTHING) == {}
    assert left(files, CONTENT) == {}
    assert left(files, NAMES) == left(files, EVERYTHING) == {"a": NEW}


def test_bytes_are_not_durable_when_the_system_was_only_told_to_hurry():
    files = with_files(a=OLD)
    with contextlib.closing(files.open(HOME / "a")) as file:
        file.write(0, [NEW])
        file.hurry(0, len(NEW))

    assert left(files, NOTHING) == {"a": OLD}


def test_only_sectors_change_when_names_are_not_kept():
    files = with_files(a=OLD)
    write_unsynced(files, "a", 0, NEW)
    create_unsynced(files, "b", NEW)

    assert left(files, CONTENT) == {"a": NEW}
    assert left(files, NAMES) == {"a": OLD, "b": b""}


# ---- names


def test_names_arrive_in_any_order_when_the_directory_was_not_synced():
    files = with_files(a=OLD)
    files.write_new(HOME / "b", [NEW])
    files.remove(HOME / "a")
    files.link(HOME / "b", HOME / "c")

    found = {tuple(tree) for tree in lefts(files, map(seeded, SEEDS))}

    kept = itertools.product([(), ("a",)], [(), ("b",)], [(), ("c",)])
    assert found == {tuple(itertools.chain(*names)) for names in kept}


def test_renaming_is_atomic_when_it_was_not_synced():
    files = with_files(a=NEW, b=OLD)
    files.replace(HOME / "a", HOME / "b")

    found = lefts(files, map(seeded, SEEDS))

    assert sorted(found, key=len) == [{"b": NEW}, {"a": NEW, "b": OLD}]


def test_directory_takes_its_content_along_when_its_renaming_is_kept():
    files = with_files()
    files.make_directory(HOME / "tmp")
    files.write_new(HOME / "tmp" / "file", [NEW])
    files.sync_directory(HOME / "tmp")
    files.replace(HOME / "tmp", HOME / "final")

    assert left(files, NOTHING) == {"tmp": {"file": NEW}}
    assert left(files, NAMES) == {"final": {"file": NEW}}


def test_directory_is_empty_when_only_its_own_name_was_synced():
    files = with_files()
    files.make_directory(HOME / "dir")
    files.write_new(HOME / "dir" / "file", [NEW])
    files.sync_directory(HOME)

    assert left(files, NOTHING) == {"dir": {}}


def test_renaming_is_durable_in_both_places_when_one_of_them_was_synced():
    files = with_files(a=OLD)
    files.make_directory(HOME / "dir")
    files.replace(HOME / "a", HOME / "dir" / "a")
    files.sync_directory(HOME / "dir")

    assert left(files, NOTHING) == {"dir": {"a": OLD}}


def test_older_change_of_a_name_is_too_late_when_a_newer_one_is_durable():
    files = with_files()
    files.make_directory(HOME / "dir")
    files.write_new(HOME / "a", [OLD])
    files.replace(HOME / "a", HOME / "dir" / "b")
    files.sync_directory(HOME / "dir")

    # the creation of "a" waits, but what came after it has happened
    assert left(files, EVERYTHING) == {"dir": {"b": OLD}}


# ---- moments, choices, fingerprints


def test_moments_stop_at_every_operation_and_inside_of_every_write():
    files = CrashingFiles()
    files.make_directory(HOME)
    files.write_new(HOME / "a", [NEW, b"1"])
    files.sync_directory(HOME)

    found = [
        (place, medium.image(EVERYTHING).paths().get("/home/a"))
        for place, medium in moments(EMPTY, files.journal)
    ]

    assert [type(operation).__name__ for operation in files.journal] == [
        "Rename",
        "Sync",
        "Rename",
        "Write",
        "Write",
        "Sync",
        "Sync",
    ]
    assert found == [
        (0, None),
        (1, None),
        (2, None),
        (3, b""),
        (3, NEW[: len(NEW) // 2]),
        (4, NEW),
        (5, NEW + b"1"),
        (6, NEW + b"1"),
        (7, NEW + b"1"),
    ]


def test_moments_lead_to_the_images_of_the_running_system():
    rng, files = np.random.default_rng(7), with_files(a=OLD, b=NEW)
    choices = [NOTHING, EVERYTHING, CONTENT, NAMES, *map(seeded, range(5))]
    seen = {}
    for _ in range(200):
        seen[len(files.journal)] = [files.crash(choice).image for choice in choices]
        outcome(random_step(rng), files, HOME)

    compared = 0
    for place, medium in moments(EMPTY, files.journal):
        if place in seen:
            assert [medium.image(choice) for choice in choices] == seen.pop(place)
            compared += 1

    assert compared > 30
    assert not seen


def test_prefix_and_suffix_keep_what_they_say_when_three_files_were_written():
    files = with_files(a=b"", b=b"", c=b"")
    begin = len(files.journal)
    for name in "abc":
        write_unsynced(files, name, 0, b"x")

    def kept(choice):
        return "".join(name for name, data in left(files, choice).items() if data)

    assert [kept(before(begin + i)) for i in range(4)] == ["", "a", "ab", "abc"]
    assert [kept(since(begin + i)) for i in range(4)] == ["abc", "bc", "c", ""]
    assert [kept(since(begin + i, lengths=False)) for i in range(4)] == [""] * 4


def test_what_was_cut_off_is_there_again_when_new_bytes_arrived_and_the_length_did_not():
    files = with_files(a=OLD)
    begin = len(files.journal)
    with contextlib.closing(files.open(HOME / "a")) as file:
        file.resize(0)
        file.write(0, [NEW[:SECTOR]])

    assert left(files, since(begin + 1, lengths=False)) == {"a": NEW[:SECTOR] + OLD[SECTOR:]}
    assert left(files, since(begin + 1)) == {"a": NEW[:SECTOR]}


def test_places_are_those_of_what_a_crash_may_lose():
    files = CrashingFiles()
    files.make_directory(HOME)
    create_unsynced(files, "a", NEW)
    create_unsynced(files, "b", NEW)
    file = files.open(HOME / "a")
    file.sync()

    *_, (_, medium) = moments(EMPTY, files.journal)

    assert [type(files.journal[place]).__name__ for place in medium.places()] == [
        "Rename",
        "Rename",
        "Write",
    ]
    files.sync_directory(HOME)
    *_, (_, medium) = moments(EMPTY, files.journal)
    assert len(medium.places()) == 1


def test_fingerprint_tells_images_apart_when_a_byte_a_length_or_a_name_differs():
    images = [
        with_files(**contents).crash(EVERYTHING).image
        for contents in (
            {},
            {"a": b""},
            {"a": b"\0"},
            {"a": b"\0\0"},
            {"a": b"x"},
            {"b": b"x"},
            {"a": b"x", "b": b"x"},
        )
    ]
    again = with_files(a=b"x").crash(EVERYTHING).image

    assert len({image.fingerprint() for image in images}) == len(images)
    assert again.fingerprint() == images[4].fingerprint()
    assert Image({}, {}).fingerprint() == EMPTY.fingerprint()
