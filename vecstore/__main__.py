"""Run the command line with ``python -m vecstore``."""

from vecstore.cli import main

if __name__ == "__main__":
    main()
