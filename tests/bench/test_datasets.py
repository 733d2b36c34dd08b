import numpy as np

from vecstore.bench.datasets import load_wordnet20k


def test_wordnet_is_whole_when_loaded_from_the_package():
    data = load_wordnet20k()

    assert len(data.ids) == len(set(data.ids)) == len(data.metadata) == 20_000
    assert data.vectors.shape == (20_000, 384)
    assert data.vectors.dtype == data.question_vectors.dtype == np.float32
    assert data.question_vectors.shape == (len(data.questions), 384) == (24, 384)
    assert set(data.metadata[0]) == {"lemma", "pos", "topic", "n_lemmas", "gloss"}
    lengths = np.linalg.norm(data.vectors, axis=1)
    assert 0.9 < lengths.min() <= lengths.max() < 1.1
