"""Changes as bytes: what is written is the documented form, comes back, and nothing else does."""

import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecstore.engine import encoding
from vecstore.engine.changes import Describe, Expire, Kill, Revive, Sweep
from vecstore.engine.checks import MAX_ID_BYTES, MAX_METADATA_BYTES
from vecstore.engine.encoding import decode, encode
from vecstore.engine.records import Appended
from vecstore.errors import InvalidInput
from vecstore.storage.frames import CALL_KINDS

INT64 = st.integers(-(2**63), 2**63 - 1)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def times(*moments):
    return struct.pack(f"<{len(moments)}q", *moments)


def upsert(n=2, dim=3, first=0):
    """Give n records that differ."""
    return Appended(
        ids=[f"r{i}" for i in range(first, first + n)],
        matrix=np.arange(first, first + n * dim, dtype=np.float32).reshape(n, dim),
        metadata=[msgpack.packb({"i": i}) for i in range(first, first + n)],
        created_at=np.arange(first, first + n),
        expires_at=np.full(n, -1),
    )


@st.composite
def upserts(draw):
    n, dim = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    raw = draw(st.binary(min_size=n * dim * 4, max_size=n * dim * 4))
    moments = st.lists(INT64, min_size=n, max_size=n).map(lambda some: np.array(some, np.int64))
    return Appended(
        ids=draw(st.lists(ids, min_size=n, max_size=n)),
        matrix=np.frombuffer(raw, "<f4").reshape(n, dim),
        metadata=draw(st.lists(st.binary(max_size=20), min_size=n, max_size=n)),
        created_at=draw(moments),
        expires_at=draw(moments),
    )


changes = st.one_of(
    upserts(),
    st.builds(Kill, ids, INT64),
    st.builds(Revive, ids, INT64),
    st.builds(Describe, ids, st.binary(max_size=30)),
    st.builds(Expire, ids, INT64),
    st.builds(Sweep, st.lists(INT64, max_size=9).map(lambda some: np.array(some, np.int64))),
)


def plain(change):
    """Give a change as data to compare, bit for bit."""
    fields = [field.tobytes() if hasattr(field, "tobytes") else field for field in change]
    types = [getattr(field, "dtype", None) for field in change]
    return type(change), fields, types, getattr(change, "matrix", np.zeros(0)).shape


def stream(some):
    kind, chunks = encode(some)
    return kind, b"".join(bytes(memoryview(chunk).cast("B")) for chunk in chunks)


# ---- there and back


@given(some=st.lists(changes, max_size=5))
@settings(database=None)
def test_changes_come_back_bit_for_bit_when_written(some):
    _, raw = stream(some)

    assert [plain(change) for change in decode(raw)] == [plain(change) for change in some]


@pytest.mark.parametrize("rows", [1, 2, 7, 5000])
def test_an_upsert_comes_back_when_its_vectors_are_handed_over_as_they_lie(rows):
    change = upsert(rows, dim=40)

    kind, chunks = encode([change, upsert(1, first=9)])

    lent = [
        chunk for chunk in chunks if np.shares_memory(np.frombuffer(chunk, "u1"), change.matrix)
    ]
    assert len(lent) == (change.matrix.nbytes > encoding._SMALL_BYTES)
    assert kind == encoding.UPSERT
    found = decode(b"".join(chunks))
    assert [plain(one) for one in found] == [plain(change), plain(upsert(1, first=9))]


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_an_upsert_takes_the_same_bytes_but_for_a_length_when_it_is_small(small, monkeypatch):
    monkeypatch.setattr(encoding, "_SMALL_BYTES", small)

    assert msgpack.unpackb(stream([upsert()])[1]) == documented(upsert())


@pytest.mark.parametrize("order", [">f4", "F", "strided"])
def test_an_upsert_comes_back_when_its_rows_lie_otherwise(order):
    change = upsert(4, 6)
    matrix = {
        ">f4": change.matrix.astype(">f4"),
        "F": np.asfortranarray(change.matrix),
        "strided": np.repeat(change.matrix, 2, axis=1)[:, ::2],
    }[order]

    (found,) = decode(stream([change._replace(matrix=matrix)])[1])

    assert plain(found) == plain(change)


# ---- the documented form


def documented(change):
    """Say what MessagePack should hold of a lone upsert."""
    return [
        [
            1,
            change.ids,
            change.matrix.shape[1],
            change.matrix.tobytes(),
            change.metadata,
            times(*change.created_at),
            times(*change.expires_at),
        ]
    ]


@pytest.mark.parametrize(
    ("change", "kind", "form"),
    [
        (upsert(), 1, documented(upsert())[0]),
        (Kill("a", -1), 2, [2, "a", -1]),
        (Kill("ä", 77), 2, [2, "ä", 77]),
        (Revive("a", 77), 3, [3, "a", 77]),
        (Describe("a", b"\x80"), 4, [4, "a", b"\x80"]),
        (Expire("a", -1), 5, [5, "a", -1]),
        (Sweep(np.array([3, 2**40])), 6, [6, times(3, 2**40)]),
    ],
)
def test_stream_has_the_documented_form_when_a_change_is_written(change, kind, form):
    found, raw = stream([change])

    assert (found, msgpack.unpackb(raw)) == (kind, [form])
    assert CALL_KINDS[kind] in (
        "upsert",
        "delete",
        "restore",
        "update_metadata",
        "set_ttl",
        "expire",
    )


def test_kind_is_that_of_a_batch_when_changes_differ():
    assert stream([Kill("a", -1), Kill("b", 5)])[0] == 2
    assert stream([Kill("a", -1), Revive("a", 5)])[0] == 255
    assert CALL_KINDS[255] == "batch"


# ---- large upserts


@pytest.mark.parametrize("piece_bytes", [1, 12, 24, 25, 60])
def test_a_large_upsert_is_cut_into_pieces_that_come_back_in_order(piece_bytes, monkeypatch):
    monkeypatch.setattr(encoding, "_PIECE_BYTES", piece_bytes)
    whole = upsert(5, 3)  # 12 bytes a row

    kind, raw = stream([Kill("before", -1), whole, Kill("after", -1)])

    first, *pieces, last = decode(raw)
    rows = max(1, piece_bytes // 12)
    assert kind == 255
    assert (first, last) == (Kill("before", -1), Kill("after", -1))
    assert [len(piece.ids) for piece in pieces] == [min(rows, 5 - at) for at in range(0, 5, rows)]
    assert [one for piece in pieces for one in piece.ids] == whole.ids
    assert [one for piece in pieces for one in piece.metadata] == whole.metadata
    for name in ("matrix", "created_at", "expires_at"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_a_call_is_refused_when_its_stream_is_longer_than_one_may_be(monkeypatch):
    monkeypatch.setattr(encoding, "MAX_CALL_BYTES", 200)
    encode([Describe("a", bytes(100))])

    with pytest.raises(InvalidInput, match="a call") as caught:
        encode([Describe("a", bytes(201))])

    assert "200 bytes" in caught.value.expected


# ---- what nobody wrote


def wrong_upserts():
    good = documented(upsert())[0]
    replaced = {
        1: ["xy", None, 5, [], ["x"], ["x", "y", "z"], ["x", 5], ["x", ""], ["x", "y" * 1025], {}],
        2: [0, -1, 2, 4, 2**40, 3.0, "3", None, True],
        3: [b"", good[3][:-1], good[3] + b"\0", "text", None, [], 5],
        4: [[], [b""], ["", ""], [b"", None], b"ab", {b"a": 1, b"b": 2}, None],
        5: [b"", times(1), times(1, 2, 3), b"1234567", "text", None, [1, 2]],
        6: [b"", times(1), times(1, 2, 3), b"1234567", "text", None, [1, 2]],
    }
    for at, values in replaced.items():
        for value in values:
            yield [*good[:at], value, *good[at + 1 :]]
    yield good[:-1]
    yield [*good, 1]
    yield [1, ["x"], True, bytes(4), [b""], times(1), times(1)]
    yield [1, [], 3, b"", [], b"", b""]


WRONG = [
    *wrong_upserts(),
    *(
        [code, bad, 5]
        for code in (2, 3, 5)
        for bad in ("", "x" * (MAX_ID_BYTES + 1), 5, None, b"a")
    ),
    *([code, "a", bad] for code in (2, 3, 5) for bad in (1.5, "5", None, b"5", [])),
    *([4, "a", bad] for bad in ("text", None, 5, {}, bytes(MAX_METADATA_BYTES + 1))),
    *([6, bad] for bad in ("text", None, 5, [1, 2], b"1234567")),
    *([code, "a", 5] for code in (0, 7, 255, -1, "2", None, 2.5, [])),
    *([code] for code in range(1, 7)),
    *([code, "a", 5, 5, 5] for code in range(2, 7)),
    [],
    5,
    None,
    "delete",
    {"delete": "a"},
]


@pytest.mark.parametrize("number", range(len(WRONG)))
@pytest.mark.parametrize("good_before", [False, True])
def test_a_change_is_refused_when_nobody_can_have_written_it(number, good_before):
    good = [[2, "a", -1]] if good_before else []

    with pytest.raises((InvalidInput, ValueError, TypeError)):
        decode(msgpack.packb([*good, WRONG[number]]))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\x01",
        b"\x80",
        b"\xa1x",
        b"\x90\x90",
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91\x93\x02\xdb\xff\xff\xff\xff",
        b"\x91\x93\x02\xa1\xff\x05",
        b"\x91\xd6\xff\x00\x00\x00\x00",
        b"\xc9\xff\xff\xff\xff\x01",
    ],
    ids=lambda raw: raw[:9].hex(),
)
def test_a_stream_is_refused_when_it_is_no_array_of_changes(raw):
    with pytest.raises((InvalidInput, ValueError, TypeError)):
        decode(raw)


@given(raw=st.binary(max_size=60), at=st.integers(0, 100), some=st.lists(changes, max_size=2))
@settings(database=None, max_examples=300)
def test_decode_gives_changes_or_a_named_error_when_bytes_are_any(raw, at, some):
    whole = bytearray(stream(some)[1])
    whole[at : at + len(raw)] = raw

    try:
        found = decode(bytes(whole))
    except (InvalidInput, ValueError, TypeError):
        return

    kinds = (Appended, Kill, Revive, Describe, Expire, Sweep)
    assert all(isinstance(change, kinds) for change in found)
    for change in found:
        if isinstance(change, Appended):
            n = len(change.ids)
            assert change.matrix.shape[0] == len(change.metadata) == n > 0
            assert change.matrix.dtype == np.float32
            assert change.created_at.shape == change.expires_at.shape == (n,)
