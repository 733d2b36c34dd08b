"""The count of crash images, for the end of the report."""

import sys


def pytest_terminal_summary(terminalreporter):
    seen = getattr(sys.modules.get("tests.crash.enumeration"), "SEEN", ())
    if seen:
        n_images = len(seen)
        terminalreporter.write_line(f"{n_images:,} distinct crash images were opened and checked")
