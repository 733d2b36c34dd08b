"""Names of files are told from others, and their numbers read."""

import pytest

from vecstore.storage.file_names import (
    file_name,
    is_own,
    log_name,
    log_number,
    manifest_name,
    manifest_number,
    newest_number,
)


@pytest.mark.parametrize(
    "name",
    [
        "LOCK",
        "CURRENT",
        "CURRENT.tmp",
        "snapshots",
        manifest_name(7),
        "wal-000001.log",
        "ids-1000000.bin",
    ]
    + [log_name(number) for number in (1, 12, 10**6, 10**18 - 1)]
    + [file_name(role, 3) for role in ("vectors", "hnsw_index", "metadata", "ids", "checksums")],
)
def test_name_is_own_when_stores_use_it(name):
    assert is_own(name)


@pytest.mark.parametrize(
    "name", ["lock", "LOCK2", "vectors-3.bin", "a/LOCK", "LOCK\n", "notes.txt", "x-000001.bin", ""]
)
def test_name_is_not_own_when_stores_do_not_use_it(name):
    assert not is_own(name)


@pytest.mark.parametrize("number", [1, 12, 999_999, 10**6, 10**17])
def test_a_log_is_found_by_its_name_when_it_has_a_number(number):
    assert log_number(log_name(number)) == number


NO_LOG = ["wal-12.log", "wal-0000012.log", "wal-000012.bin", "wal-.log", "xwal-000012.log"]
NO_LOG += ["wal--00001.log", "wal-000012.log\n", "wal-٠٠٠٠٠٧.log", "LOCK", "wal-000000.log"]
NO_LOG += ["wal-" + "9" * 19 + ".log", "WAL-000012.LOG", ""]


@pytest.mark.parametrize("name", NO_LOG)
def test_no_log_is_found_when_the_name_is_that_of_none(name):
    assert log_number(name) == 0


@pytest.mark.parametrize("number", [1, 12, 999_999, 10**6, 10**17])
def test_a_manifest_is_found_by_its_name_when_it_has_a_number(number):
    assert manifest_number(manifest_name(number)) == number


@pytest.mark.parametrize("name", [name.replace("wal", "manifest") for name in NO_LOG])
def test_no_manifest_is_found_when_the_name_is_that_of_none(name):
    assert manifest_number(name.replace(".log", ".json")) == 0


def test_newest_number_is_that_of_any_file_of_a_generation_when_others_have_greater_ones():
    others = ["wal-000099.log", "notes-000098.txt", "vectors-97.bin", "LOCK", "snapshots"]
    too_large = ["ids-" + "9" * 16 + ".bin"]  # above it there might be no name left

    assert newest_number([manifest_name(7), "vectors-000012.bin", *others, *too_large]) == 12
    assert newest_number(others) == 0
