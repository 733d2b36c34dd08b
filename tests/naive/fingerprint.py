"""The documented fingerprint: one line of text, then little-endian rows, hashed by BLAKE2b-128."""

import hashlib
import struct


def fingerprint(metric, vectors, twin):
    """Hash vectors as they are stored and the graph of a `naive.hnsw.NaiveHnsw`."""
    n_indexed, m = len(twin.levels), twin.m
    numbers = (len(vectors[0]), len(vectors), n_indexed, m, twin.entry, twin.top_layer)
    text = f"vecstore 1 {metric} " + " ".join(map(str, numbers)) + "\n"
    stream = bytearray(text.encode())
    for vector in vectors:
        stream += struct.pack(f"<{len(vector)}f", *vector)
    stream += bytes(twin.levels)
    for slot in range(n_indexed):
        stream += _row(twin.layers[0][slot], 2 * m)
    for slot in range(n_indexed):
        for layer in range(1, twin.levels[slot] + 1):
            stream += _row(twin.layers[layer][slot], m)
    return hashlib.blake2b(bytes(stream), digest_size=16).hexdigest()


def _row(links, width):
    return struct.pack(f"<{width}i", *links, *[-1] * (width - len(links)))
