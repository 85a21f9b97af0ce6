"""How fast a gazetteer loads and names are resolved: ``python benchmarks/gazetteer.py [--gazetteer FILE]``.

Without a file, 50,000 made-up villages in 300 districts, a third of which share their names with some others. The
mentions stand in reports of ten places each: a village with its district, as ``قرية X بريف Y``. Times are those of the
process (one core); wall-clock times stand beside them.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marsad.documents import Document, Entity
from marsad.facts.gazetteer import Gazetteer, load_gazetteer
from marsad.facts.places import read_places

_SYLLABLES = ("با", "تل", "كف", "رو", "سن", "دي", "مر", "جب", "عي", "نو", "حل", "زا", "قص", "شم", "لو", "غر")


@contextmanager
def timed(what: str, count: int = 0) -> Iterator[None]:
    wall, own = time.perf_counter(), time.process_time()
    yield
    wall, own = time.perf_counter() - wall, time.process_time() - own
    rate = f", {count / own:,.0f} a second ({count / wall:,.0f} by the clock)" if count else ""
    print(f"{what}: {own:.2f} s ({wall:.2f} s by the clock){rate}")


def write_places(path: Path, count: int, draw: random.Random) -> None:
    def name(least: int) -> str:
        return "".join(draw.choices(_SYLLABLES, k=draw.randint(least, least + 2)))

    districts = [name(4) for _ in range(300)]
    with path.open("w", encoding="utf-8") as file:
        file.write("name\tid\tlat\tlon\tparent\tlevel\tcountry\n")
        for i, district in enumerate(districts):
            file.write(f"{district}\tD{i}\t\t\t\tdistrict\tZZ\n")
        for i in range(count - len(districts)):
            parent = draw.randrange(len(districts))
            file.write(
                f"{name(3)}\tV{i}\t{draw.uniform(30, 37):.5f}\t{draw.uniform(35, 45):.5f}\tD{parent}\tvillage\tZZ\n"
            )


def made_reports(gazetteer: Gazetteer, mentions: int, draw: random.Random) -> list[Document]:
    rows = [row for row in range(len(gazetteer)) if gazetteer.files[row] == 0 and gazetteer.ancestors(row)]
    reports = []
    for number in range(mentions // 10):
        text, entities = "", []
        for _ in range(5):
            row = draw.choice(rows)
            place = f"قرية {gazetteer.names[row]}"
            around = f"بريف {gazetteer.names[gazetteer.ancestors(row)[0]]}"
            text += "قصف على "
            for span in (place, around):
                entities.append(Entity(len(text), len(text) + len(span), "LOCATION"))
                text += span + " "
            text = text.rstrip() + ". "
        reports.append(Document(str(number), text, tuple(entities)))
    return reports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gazetteer", type=Path, metavar="FILE", help="a gazetteer instead of a made-up one")
    parser.add_argument("--rows", type=int, default=50_000, metavar="N", help="rows of the made-up one (50000)")
    parser.add_argument("--mentions", type=int, default=20_000, metavar="N", help="mentions to resolve (20000)")
    options = parser.parse_args()
    draw = random.Random(13)
    with tempfile.TemporaryDirectory() as folder:
        path = options.gazetteer
        if path is None:
            path = Path(folder) / "places.tsv"
            write_places(path, options.rows, draw)
        with timed("loading"):
            gazetteer = load_gazetteer(path)
        print(f"{len(gazetteer):,} rows, those built in among them")
        reports = made_reports(gazetteer, options.mentions, draw)
        count = sum(len(report.entities) for report in reports)
        with timed(f"resolving {count:,} mentions", count):
            found = [value for report in reports for value in read_places(report, report.entities, gazetteer)]
        print(f"{sum(value.place is not None for value in found) / count:.3f} of them resolved")


if __name__ == "__main__":
    main()
