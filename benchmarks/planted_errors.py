"""How many of 100 planted annotation mistakes ``marsad errors`` lists first.

Plants known mistakes in a copy of annotated reports, at most one a report: entities dropped, ordinary words annotated,
types changed, boundaries moved by a word. Then ranks the suspects as the command does and counts the planted ones
among the first ones listed. One counts as listed where a suspect shares a word with it, as mended where the suspect
suggests exactly what stood there.

    python benchmarks/planted_errors.py configs/marsad.yaml --output out/planted
    python benchmarks/planted_errors.py configs/marsad.yaml --output out/planted --cleanlab

The same command again takes the folds that ``--output`` holds: only the ranking is made anew. ``--cleanlab`` (needs
``pip install cleanlab``) ranks by cleanlab's token classification on the same probabilities beside ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from running import quiet, run

from marsad.annotations.jsonl import read_documents
from marsad.annotations.mistakes import EPOCHS, FOLDS, rank_suspects
from marsad.annotations.planting import MIX, Planted, plant_mistakes, touches
from marsad.config import load_config
from marsad.documents import Entity
from marsad.labels import LabelSet
from marsad.modeling.decoding import log_softmax
from marsad.modeling.folds import HeldOut, score_held_out
from marsad.modeling.tagging import align_entities, tag_ids, word_spans_to_entities
from marsad.text.words import Words, split_words, words_in_span

TOPS = (50, 100, 150, 200)

Ranked = list[tuple[str, int, int, tuple[Entity, ...]]]


def ranked_by_us(held: Sequence[HeldOut], labels: LabelSet) -> Ranked:
    """Our suspects, best first: report, range of words, what is suggested."""
    words = {one.document.id: one.words for one in held}
    return [
        (one.document, *words_in_span(words[one.document].words, one.start, one.end), one.suggested)
        for one in rank_suspects(held, labels)
    ]


def ranked_by_cleanlab(held: Sequence[HeldOut], labels: LabelSet) -> Ranked:
    """The words that cleanlab finds wrong, best first; neighbouring ones as one suspect with the best rank."""
    from cleanlab.token_classification.filter import find_label_issues

    tags = [tag_ids(align_entities(one.document, one.words).spans, len(one.words), labels) for one in held]
    probabilities = [np.exp(log_softmax(one.scores)) for one in held]
    issues = find_label_issues(tags, probabilities, n_jobs=1)
    rank = {(held[report].document.id, word): place for place, (report, word) in enumerate(issues)}
    runs: list[tuple[int, str, int, int]] = []
    for name, word in sorted(rank):
        if runs and runs[-1][1] == name and runs[-1][3] == word:
            runs[-1] = (min(runs[-1][0], rank[name, word]), name, runs[-1][2], word + 1)
        else:
            runs.append((rank[name, word], name, word, word + 1))
    return [(name, first, last, ()) for _, name, first, last in sorted(runs)]


def table(ranked: Ranked, planted: Sequence[Planted], words: Mapping[str, Words]) -> str:
    """How many of the planted mistakes are among the first ones listed, by kind, and how many are mended exactly."""
    lines = [f"{'':10} {'planted':>8}" + "".join(f"{f'top {top}':>9}" for top in TOPS) + f"{'all':>9}{'mended':>9}"]
    place: dict[Planted, int] = {}
    mended: set[Planted] = set()
    for mistake in planted:
        for index, (name, first, last, suggested) in enumerate(ranked):
            if name == mistake.document and touches(mistake, first, last):
                place[mistake] = index
                right = set(word_spans_to_entities(mistake.right, [None] * len(mistake.right), words[name]))
                if {replace(entity, score=None) for entity in suggested} == right:
                    mended.add(mistake)
                break
    for kind in [*MIX, "all"]:
        some = [mistake for mistake in planted if kind in (mistake.kind, "all")]
        ranks = [place[mistake] for mistake in some if mistake in place]
        cells = [sum(rank < top for rank in ranks) for top in (*TOPS, len(ranked))]
        cells.append(sum(mistake in mended for mistake in some))
        lines.append(f"{kind:10} {len(some):8d}" + "".join(f"{cell:9d}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="How many of 100 planted annotation mistakes are listed first.")
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--reports", type=Path, default=Path("data/train.jsonl"))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the planting")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--output", type=Path, required=True, help="folder that keeps the folds")
    parser.add_argument("--cleanlab", action="store_true")
    options = parser.parse_args()
    quiet(progress_of="marsad")
    config = load_config(options.config, [f"training.epochs={EPOCHS}", "training.runs=1", *options.overrides])
    documents = read_documents(options.reports, config.labels, annotated=True)
    words = [split_words(document.text, config.text) for document in documents]
    documents, planted = plant_mistakes(documents, words, config.label_set, options.count, options.seed)
    by_name = {document.id: one for document, one in zip(documents, words, strict=True)}
    entities = sum(len(document.entities) for document in documents)
    print(f"{len(documents)} reports, {entities} entities, {len(planted)} mistakes planted (seed {options.seed})")
    start = time.monotonic()
    held = score_held_out(documents, config, options.folds, options.output)
    print(f"{options.folds} folds × {config.training.epochs} epochs, {time.monotonic() - start:.0f} s")
    ranked = ranked_by_us(held, config.label_set)
    print(f"\nmarsad errors, {len(ranked)} suspects\n{table(ranked, planted, by_name)}")
    if options.cleanlab:
        ranked = ranked_by_cleanlab(held, config.label_set)
        print(f"\ncleanlab, {len(ranked)} suspects\n{table(ranked, planted, by_name)}")
    return 0


if __name__ == "__main__":
    run(main)
