"""Settings: names of metrics, bounds, what was passed, and opening over what is stored."""

import dataclasses
import json

import numpy as np
import pytest

from vecstore.config import METRIC_ALIASES, HnswConfig, StoreConfig, metric_name, whole_number
from vecstore.errors import InvalidInput

ALIASES = {
    "cosine": ["cosine", "Cosine"],
    "euclidean": ["euclidean", "l2", "L2", "EUCLIDEAN"],
    "dot": ["dot", "dotproduct", "DotProduct"],
    "manhattan": ["manhattan", "l1"],
    "hamming": ["hamming"],
    "jaccard": ["jaccard"],
    "chebyshev": ["chebyshev", "linf", "l_inf", "LInf"],
    "canberra": ["canberra"],
    "braycurtis": ["braycurtis", "bray-curtis", "bray_curtis", "BrayCurtis"],
}


@pytest.mark.parametrize("name", ALIASES)
def test_metric_name_finds_the_metric_when_given_an_alias_in_any_case(name):
    assert {metric_name(alias) for alias in ALIASES[name]} == {name}


def test_there_are_nine_metrics_when_aliases_are_resolved():
    assert set(METRIC_ALIASES.values()) == set(ALIASES)


@pytest.mark.parametrize("name", ["", "l3", "cosine ", None, 2, ["l2"], b"l2"], ids=repr)
def test_metric_name_lists_the_metrics_when_it_knows_none_of_that_name(name):
    with pytest.raises(InvalidInput, match=r"metric: expected one of cosine, .*braycurtis"):
        metric_name(name)


# ---- whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_number_gives_an_int_when_the_value_is_one(value):
    assert type(whole_number("k", value, 0, 5)) is int


@pytest.mark.parametrize("value", [-1, 6, 3.0, "3", None, True, np.bool_(True), np.float64(3), [3]])
def test_whole_number_names_argument_and_bounds_when_the_value_is_no_such(value):
    with pytest.raises(InvalidInput, match="k: expected an integer from 0 to 5") as caught:
        whole_number("k", value, 0, 5)

    assert caught.value.argument == "k"


@pytest.mark.parametrize("value", [0, 5])
def test_whole_number_includes_its_bounds_when_met(value):
    assert whole_number("k", value, 0, 5) == value


# ---- bounds


@pytest.mark.parametrize(
    "field",
    [
        {"m": 1},
        {"m": 1025},
        {"m": 16.0},
        {"ef_construction": 0},
        {"ef_search": 0},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": None},
    ],
    ids=str,
)
def test_hnsw_config_names_the_field_when_out_of_bounds(field):
    (name,) = field

    with pytest.raises(InvalidInput, match=name):
        HnswConfig(**field)


@pytest.mark.parametrize(
    "field",
    [
        {"flat_threshold": 0},
        {"flat_threshold": 2**31},
        {"threads": 0},
        {"maintenance": "off"},
        {"maintenance": None},
        {"durability": "on"},
        {"durability": ["off"]},
        {"durability": None},
        {"sync_interval_s": -1},
        {"sync_interval_s": 86_401},
        {"sync_interval_s": float("nan")},
        {"sync_interval_s": float("inf")},
        {"sync_interval_s": 10**400},
        {"sync_interval_s": "1"},
        {"sync_interval_s": True},
        {"sync_interval_s": None},
        {"checkpoint_bytes": -1},
        {"checkpoint_bytes": 1.5},
        {"checkpoint_bytes": 2**63},
        {"hnsw": {"m": 8}},
        {"hnsw": None},
    ],
    ids=lambda field: str(field)[:40],
)
def test_store_config_names_the_field_when_out_of_bounds(field):
    (name,) = field

    with pytest.raises(InvalidInput, match=name):
        StoreConfig(**field)


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
def test_durability_has_the_levels_that_are_published(durability):
    assert StoreConfig(durability=durability).durability == durability


def test_durability_is_full_when_nothing_is_said():
    assert StoreConfig().durability == "full"


@pytest.mark.parametrize("seconds", [0, 0.25, 1, 86_400])
def test_sync_interval_is_kept_as_a_float_when_it_is_a_number_of_seconds(seconds):
    kept = StoreConfig(sync_interval_s=seconds).sync_interval_s

    assert (type(kept), kept) == (float, seconds)


@pytest.mark.parametrize("config", [HnswConfig, StoreConfig])
def test_a_config_names_the_unknown_field_when_it_gets_one(config):
    with pytest.raises(InvalidInput, match="only the fields") as caught:
        config(colour="red")

    assert "colour" in str(caught.value)


def test_an_unknown_field_alone_is_named_when_others_are_known():
    with pytest.raises(InvalidInput) as caught:
        StoreConfig(threads=2, colour="red")

    assert caught.value.got == "colour"


def test_a_config_cannot_be_changed_when_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        StoreConfig().threads = 2


def test_configs_are_equal_when_their_values_are_whatever_was_passed():
    assert StoreConfig(threads=1) == StoreConfig()
    assert hash(HnswConfig(m=16)) == hash(HnswConfig())
    assert StoreConfig(threads=2) != StoreConfig()


# ---- what was passed


def test_passed_holds_exactly_the_given_fields_when_they_equal_the_defaults():
    assert StoreConfig().passed == frozenset()
    assert StoreConfig(threads=1).passed == {"threads"}
    assert HnswConfig(m=16, seed=0).passed == {"m", "seed"}
    assert StoreConfig.from_dict({"hnsw": {"m": 8}}).hnsw.passed == {"m"}


# ---- plain data


def test_from_dict_gives_the_same_config_when_it_went_through_json():
    config = StoreConfig(
        hnsw=HnswConfig(m=7, seed=2**64 - 1),
        durability="interval",
        sync_interval_s=0.1,
        checkpoint_bytes=2**40,
        threads=3,
        maintenance="inline",
    )

    again = StoreConfig.from_dict(json.loads(json.dumps(config.to_dict())))

    assert again == config
    assert again.hnsw.seed == 2**64 - 1


def test_to_dict_is_json_able_when_fields_are_numpy_integers():
    config = StoreConfig(flat_threshold=np.int64(5), hnsw=HnswConfig(m=np.int32(8)))

    assert json.loads(json.dumps(config.to_dict()))["hnsw"]["m"] == 8


def test_to_dict_is_a_copy_when_changed():
    config = StoreConfig()

    config.to_dict()["hnsw"]["m"] = 99

    assert config.hnsw.m == 16


@pytest.mark.parametrize(
    "data",
    [{"m": 8}, {"hnsw": {"ef": 8}}, {"hnsw": 8}, {"hnsw": None}, {5: 5}, {"passed": []}],
    ids=str,
)
def test_from_dict_refuses_when_a_key_is_unknown_or_a_value_impossible(data):
    with pytest.raises(InvalidInput):
        StoreConfig.from_dict(data)


# ---- over


def test_over_keeps_what_is_stored_when_nothing_was_passed():
    stored = StoreConfig(hnsw=HnswConfig(m=8, ef_search=77), flat_threshold=5, threads=4)

    assert StoreConfig().over(stored) == stored
    assert StoreConfig(hnsw=HnswConfig()).over(stored) == stored


def test_over_takes_what_was_passed_when_it_belongs_to_the_handle():
    stored = StoreConfig(hnsw=HnswConfig(m=8, ef_search=77), flat_threshold=5, threads=4)
    handle = {
        "durability": "interval",
        "sync_interval_s": 2.5,
        "checkpoint_bytes": 7,
        "threads": 1,
        "maintenance": "inline",
    }

    both = StoreConfig(hnsw=HnswConfig(ef_search=50), **handle).over(stored)

    assert both == StoreConfig(hnsw=HnswConfig(m=8, ef_search=50), flat_threshold=5, **handle)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("flat_threshold", StoreConfig(flat_threshold=1000)),
        ("hnsw.m", StoreConfig(hnsw=HnswConfig(m=16))),
        ("hnsw.ef_construction", StoreConfig(hnsw=HnswConfig(ef_construction=200))),
        ("hnsw.seed", StoreConfig(hnsw=HnswConfig(seed=0))),
    ],
)
def test_over_names_the_field_and_both_values_when_a_fixed_one_differs(field, wanted):
    stored = StoreConfig(flat_threshold=5, hnsw=HnswConfig(m=8, ef_construction=9, seed=1))

    with pytest.raises(InvalidInput, match=field) as caught:
        wanted.over(stored)

    name = field.split(".")[-1]
    old = getattr(stored.hnsw if "." in field else stored, name)
    new = getattr(wanted.hnsw if "." in field else wanted, name)
    assert caught.value.got == new
    assert str(old) in str(caught.value)


def test_over_agrees_when_a_fixed_field_was_passed_as_stored():
    stored = StoreConfig(flat_threshold=5, hnsw=HnswConfig(m=8))

    assert StoreConfig(flat_threshold=5, hnsw=HnswConfig(m=8)).over(stored) == stored
