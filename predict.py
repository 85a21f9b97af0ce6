"""`python predict.py …` is `marsad predict …`."""

import sys

from marsad.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
