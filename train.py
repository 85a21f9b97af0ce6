"""`python train.py …` is `marsad train …`."""

import sys

from marsad.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
