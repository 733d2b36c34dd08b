"""Bytes on disk: the door to the operating system, formats, manifests and checkpoints."""
