"""Strict F1 on the test split of ANERcorp over several seeds, beside published figures.

Each seed's model is trained by the config and judged by what ``evaluate.py`` calls. Seeds whose model is whole are not
trained again and a training that broke off goes on, so the same command can be given again. Models stand in
``OUTPUT-SEED``, with ``OUTPUT`` the config's. The corpus is not part of the project.

    python benchmarks/anercorp.py configs/anercorp.yaml data.train=train.txt --test test.txt --seeds 13 14 15
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

from running import quiet, run

from marsad.config import load_config
from marsad.evaluation.evaluate import evaluate
from marsad.modeling.training import train

# A model with the paper that it is of, F1, and on which splits it was measured.
PUBLISHED = (
    ("AraELECTRA (Antoun et al. 2021)", 84.0, "CAMeL Lab splits"),
    ("AraBERT v0.2-base (Antoun et al. 2020)", 83.7, "CAMeL Lab splits"),
    ("AraBERT v0.1 (Antoun et al. 2020)", 83.1, "CAMeL Lab splits; micro, its macro F1 is 78.7"),
    ("CAMeL Tools, CAMeLBERT (Inoue et al. 2021)", 83.0, "CAMeL Lab splits"),
    ("AraBERT v0.2-base (Komail262 on Hugging Face)", 81.3, "nearly the same test, of 2,285 entities; one seed"),
    ("XLM-R large (Conneau et al. 2020)", 89.9, "other splits"),
    ("AraBERT (Antoun et al. 2020)", 89.1, "other splits"),
    ("ARBERT (Abdul-Mageed et al. 2021)", 84.4, "other splits"),
    ("MARBERT (Abdul-Mageed et al. 2021)", 80.6, "other splits"),
)
NOTE = """Comparable: the test sentences of the rows on the CAMeL Lab splits (2,211 entities), F1 over whole entities.
Not comparable: those rows count leniently (a tag sequence that is not valid is mended before it is scored), chose
checkpoint or settings on the test split itself, and some mix micro and macro means; ours are strict, and test decides
nothing: a tenth of train is held out for that, so that ours also learn from less. Rows on other splits have other test
sentences and rank nothing here. The base-size models have about five times the parameters of the embedded encoder."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Strict test F1 on ANERcorp, by seed and in the mean.")
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 14, 15, 16, 17])
    parser.add_argument("--test", type=Path, default=Path("../shared/benchmarks/anercorp/test.txt"))
    options, rest = parser.parse_known_args()
    seeds = list(dict.fromkeys(options.seeds))
    if any("=" not in one or one.startswith("-") for one in rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    quiet(progress_of="marsad.modeling")
    config = load_config(options.config, [*options.overrides, *rest])
    columns = ["micro", "macro", *config.labels, "dev"]
    rows: list[list[float]] = []
    print(f"{'seed':>9} " + " ".join(f"{name:>8}" for name in columns), flush=True)
    for seed in seeds:
        folder = config.output_folder.with_name(f"{config.output_folder.name}-{seed}")
        training = config.training.model_copy(update={"seed": seed})
        result = train(config.model_copy(update={"training": training, "output": folder}), resume=True)
        # In PyTorch, whether or not the model has an int8 file; intervals are not wanted here.
        scores = evaluate(result.folder, options.test, resamples=1, runtime="torch").strict
        by_type = [counts.f1 for counts in scores.by_type.values()]
        rows.append([100 * value for value in (scores.overall.f1, mean(by_type), *by_type, result.dev.overall.f1)])
        print(f"{seed:9d} " + " ".join(f"{value:8.2f}" for value in rows[-1]), flush=True)
    print(f"{'mean':>9} " + " ".join(f"{mean(values):8.2f}" for values in zip(*rows, strict=True)))
    if len(rows) > 1:
        print(f"{'deviation':>9} " + " ".join(f"{stdev(values):8.2f}" for values in zip(*rows, strict=True)))
    print(f"\nstrict F1 on {options.test} of {len(seeds)} seeds; dev is what was held out of train\n\npublished F1:")
    for name, f1, source in PUBLISHED:
        print(f"  {name:46} {f1:5.1f}  {source}")
    print(f"\n{NOTE}")
    return 0


if __name__ == "__main__":
    run(main)
