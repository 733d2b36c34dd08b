"""Benchmarks and the demonstration: recall against speed, measured on the spot."""
