"""Data sets to demonstrate and measure with."""

import json
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class WordNet20k(NamedTuple):
    """
    20,000 senses of WordNet 3.0 with all-MiniLM-L6-v2 embeddings.

    Attributes
    ----------
    ids : list of str
        Part of speech and WordNet's offset, such as ``"n02084071"``.
    vectors : float32[20000, 384]
        Decoded from int8; not normalized.
    metadata : list of dict
        `lemma`, `pos`, `topic`, `n_lemmas`, `gloss`.
    questions : list of str
        24 of them.
    question_vectors : float32[24, 384]
        Embedded by the same model.
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    metadata: list[dict[str, Any]]
    questions: list[str]
    question_vectors: NDArray[np.float32]


def load_wordnet20k() -> WordNet20k:
    """
    Read the senses that come with the package.

    Returns
    -------
    WordNet20k
        About 30 MB of vectors.

    Examples
    --------
    >>> load_wordnet20k().questions[12]
    'a doctor who operates on people'
    """
    folder = resources.files("vecstore") / "data" / "wordnet20k"
    lines = (folder / "docs.jsonl").read_text(encoding="utf-8").splitlines()
    senses = [json.loads(line) for line in lines]
    fields = ("lemma", "pos", "topic", "n_lemmas", "gloss")
    return WordNet20k(
        ids=[sense["id"] for sense in senses],
        vectors=_array("vectors_i8.npy") * _array("scales_f32.npy")[:, None],
        metadata=[{field: sense[field] for field in fields} for sense in senses],
        questions=json.loads((folder / "queries.json").read_text(encoding="utf-8")),
        question_vectors=_array("query_vectors_f32.npy"),
    )


def _array(name: str) -> Any:
    path = resources.files("vecstore") / "data" / "wordnet20k" / name
    with path.open("rb") as file:
        return np.load(file, allow_pickle=False)
