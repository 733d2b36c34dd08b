"""The same bits without the JIT, and compiled for another CPU."""

import json

import pytest
from numba.core import config

from tests.kernels.cases import EVERY_METRIC
from tests.kernels.outcome import outcome
from tests.kernels.processes import python

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="compares with compiled code")


@pytest.fixture(scope="module")
def plain_outcomes():
    done = python("-m", "tests.kernels.outcome", *EVERY_METRIC, NUMBA_DISABLE_JIT=1)
    return json.loads(done.stdout)


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_index_has_the_same_bits_when_the_jit_is_disabled(metric, plain_outcomes):
    compiled = outcome(metric)

    assert plain_outcomes[metric] == compiled
    assert not all(map(all, compiled["exact"]))  # the graph was walked


def test_kernel_suite_passes_when_the_jit_is_disabled():
    arguments = ("--hypothesis-profile=plain", "-p", "no:cacheprovider", "-q", "-x")

    done = python("-m", "pytest", "tests/kernels", *arguments, check=False, NUMBA_DISABLE_JIT=1)

    assert done.returncode == 0, done.stdout


def test_index_has_the_same_bits_when_compiled_for_a_generic_cpu(tmp_path):
    machine = {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": tmp_path}

    metrics = ("euclidean", "cosine")
    done = python("-m", "tests.kernels.outcome", *metrics, **machine)

    assert json.loads(done.stdout) == {metric: outcome(metric) for metric in metrics}
    assert any(tmp_path.rglob("hnsw_build.find_neighbors*.nbc"))  # not from another cache
