"""`python evaluate.py …` is `marsad evaluate …`."""

import sys

from marsad.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
