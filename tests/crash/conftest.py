"""The count of crash images, for the end of the report."""

import sys


def pytest_terminal_summary(terminalreporter):
    enumeration = sys.modules.get("tests.crash.enumeration")
    if enumeration is not None and enumeration.SEEN:
        n_images = len(enumeration.SEEN)
        terminalreporter.write_line(f"{n_images:,} distinct crash images were opened and checked")
