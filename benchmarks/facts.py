"""What facts cost beside the model: ``python benchmarks/facts.py models/marsad data/dev.jsonl``.

The entities of each report are found by the model, then read as values and incidents; both times are those of one core.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from marsad.annotations.jsonl import read_documents
from marsad.batch.recognizer import Recognizer
from marsad.facts.facts import FactTables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("file", type=Path, help="reports (JSON Lines)")
    parser.add_argument("--reports", type=int, default=100, metavar="N", help="how many of them (100)")
    options = parser.parse_args()
    documents = read_documents(options.file)[: options.reports]
    recognizer = Recognizer.from_pretrained(options.model, device="cpu")
    tables = FactTables.load()
    warm = recognizer.predict([documents[0].text])
    warm[0].facts(tables)

    start = time.process_time()
    predictions = recognizer.predict([document.text for document in documents])
    of_model = time.process_time() - start
    start = time.process_time()
    facts = [
        prediction.facts(tables, document.published)
        for prediction, document in zip(predictions, documents, strict=True)
    ]
    records = sum(len(one.value_records()) + len(one.incident_records()) for one in facts)
    of_facts = time.process_time() - start
    each = 1000 / len(documents)
    print(f"{len(documents)} reports, {records} values and incidents")
    print(f"model {of_model * each:.2f} ms a report, facts {of_facts * each:.2f} ms ({of_facts / of_model:.1%} of it)")


if __name__ == "__main__":
    main()
