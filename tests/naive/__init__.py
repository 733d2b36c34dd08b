"""Slow, obvious twins of the algorithms, in plain Python, from the papers and the documents."""
