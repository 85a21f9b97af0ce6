"""The commands of ``marsad``, each a few lines around one call into the package."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from marsad import __version__
from marsad.errors import MarsadError
from marsad.files import check_apart, check_writable

if TYPE_CHECKING:
    from marsad.facts.facts import FactFiles

# Above every size and count; the C code below Python takes no larger numbers.
_MOST = 1 << 48
_FORMATS = "labelstudio, doccano, brat, prodigy, inception, conll or datasets"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 done, 2 a mistake in what was given, 3 a check failed or rows were rejected."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse takes positional arguments in one run only; files and overrides may stand after options too.
    plain = not any(one.startswith("-") for one in rest)
    files = next((getattr(options, name) for name in ("inputs", "paths", "files") if hasattr(options, name)), None)
    if rest and plain and options.run in (_train, _pretrain, _errors) and all("=" in one for one in rest):
        options.overrides += rest
    elif rest and plain and files:
        files += [type(files[0])(one) for one in rest]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    _set_up_output()
    # How long GNU OpenMP's threads spin while they wait for one another: fifteen times less than by default costs
    # little on a quiet machine and saves most of the loss on a shared one. Read when torch is loaded, after this.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        result: int = options.run(options)
        return result
    except MarsadError as error:
        if os.environ.get("RANK", "0") == "0":  # else torchrun would show it once for each process
            print(f"marsad: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name in sys.stdlib_module_names:
            print(f"marsad: error: Python's {error.name!r} is not on this system; use Linux or macOS", file=sys.stderr)
            return 2
        print(
            f"marsad: error: the package {error.name!r} is not installed here; run `make setup` and activate .venv, or "
            "pip install 'marsad[train]' (without [train] to run models only)",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        # The reader (`… | head`) has seen enough; without this, Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("marsad: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
            raise
        where = error.filename or "standard output"
        print(f"marsad: error: {where}: can't be written ({error.strerror})", file=sys.stderr)
        return 2


def entry_point() -> None:
    """The console command ``marsad``."""
    sys.exit(main())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="marsad", description="Arabic named-entity recognition for conflict reports.")
    parser.add_argument("--version", action="version", version=f"marsad {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a model from annotated reports")
    train.add_argument("config", type=Path, help="a YAML file such as configs/marsad.yaml")
    train.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="e.g. training.epochs=3")
    train.add_argument("--resume", action="store_true", help="go on with a run that broke off")
    train.add_argument("--overwrite", action="store_true", help="replace the model or run in the output folder")
    train.set_defaults(run=_train)

    pretrain = commands.add_parser("pretrain", help="train an encoder on, on plain text without annotation")
    pretrain.add_argument("config", type=Path, help="a YAML file such as configs/pretrain.yaml")
    pretrain.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="e.g. training.tokens=1000000")
    pretrain.add_argument("--resume", action="store_true", help="go on with a run that broke off")
    pretrain.add_argument("--overwrite", action="store_true", help="replace the encoder or run in the output folder")
    pretrain.set_defaults(run=_pretrain)

    search = commands.add_parser("search", help="try other training settings, judged on dev")
    search.add_argument("config", type=Path, help="a YAML file such as configs/search.yaml")
    search.add_argument(
        "--output", type=Path, required=True, help="folder for trials.tsv and best.yaml; a search in it goes on"
    )
    search.set_defaults(run=_search)

    evaluate = commands.add_parser(
        "evaluate",
        help="score a model, or predictions made elsewhere, on annotated reports",
        usage="marsad evaluate [options] MODEL FILE …\n       marsad evaluate [options] --predictions FILE FILE …",
    )
    evaluate.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="MODEL FILE",
        help="a model folder (none with --predictions), then annotated reports: JSON Lines, or CoNLL columns (.conll)",
    )
    evaluate.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="judge this file, as `marsad predict` writes it, or CoNLL columns",
    )
    evaluate.add_argument(
        "--baseline", type=Path, metavar="MODEL_OR_FILE", help="a model folder or predictions to compare with"
    )
    evaluate.add_argument(
        "--gate", type=Path, metavar="FILE", help="what must be reached (YAML); exit with 3 where it is not"
    )
    evaluate.add_argument(
        "--train",
        action="append",
        type=Path,
        metavar="FILE",
        help="what the system was trained on, to tell unseen mentions (again for each file); a model's own by default",
    )
    evaluate.add_argument("--resamples", type=int, default=1000, metavar="N", help="bootstrap resamples (1000)")
    evaluate.add_argument("--seed", type=int, default=13, metavar="N", help="seed of whatever is random (13)")
    _add_runtime(evaluate)
    evaluate.add_argument(
        "--baseline-runtime",
        choices=("auto", "torch", "onnx"),
        help="of the baseline, where it is another: one model against itself, int8 against fp32",
    )
    evaluate.add_argument(
        "--facts", action="store_true", help="score the values of numbers and dates too, where gold entities have any"
    )
    evaluate.add_argument(
        "--gold-spans", action="store_true", help="with --facts: read values on the gold spans alone; takes no model"
    )
    evaluate.add_argument("--output", type=Path, help="folder for report.json, report.md and report.html")
    evaluate.set_defaults(run=_evaluate)

    promote = commands.add_parser(
        "promote", help="make a model the current one, if it passes the gate against the one that is"
    )
    promote.add_argument("model", type=Path, help="a model folder")
    promote.add_argument("--current", type=Path, default=Path("models/current"), help="(models/current)")
    promote.add_argument("--gate", type=Path, default=Path("configs/gate.yaml"), help="(configs/gate.yaml)")
    promote.add_argument(
        "--test", action="append", type=Path, metavar="FILE", help="the frozen test split (data/test.jsonl)"
    )
    promote.add_argument("--output", type=Path, help="folder for report.json, report.md and report.html")
    promote.add_argument(
        "--onnx",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="give it int8 weights for CPUs, where dev F1 allows it and marsad[export] is installed (the default)",
    )
    promote.set_defaults(run=_promote)

    rollback = commands.add_parser(
        "rollback", help="make the model current again that was so before the last promotion"
    )
    rollback.add_argument("--current", type=Path, default=Path("models/current"), help="(models/current)")
    rollback.set_defaults(run=_rollback)

    _add_predict(commands.add_parser("predict", help="find the entities of reports"))

    export = commands.add_parser("export-onnx", help="write a model for ONNX Runtime (int8), if it scores as before")
    export.add_argument("model", type=Path, help="a model folder; model.int8.onnx and onnx.json are written into it")
    export.add_argument(
        "--dev",
        action="append",
        type=Path,
        metavar="FILE",
        help="judge int8 on this file (the config's dev by default)",
    )
    export.add_argument(
        "--max-drop", type=float, default=0.003, metavar="X", help="strict dev F1 that int8 may cost at most (0.003)"
    )
    export.set_defaults(run=_export_onnx)

    audit = commands.add_parser("audit", help="check annotated reports before training on them")
    audit.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="files of annotated reports, or their folder"
    )
    audit.add_argument(
        "--against",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="texts that may not be repeated",
    )
    audit.add_argument(
        "--reference",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="training data that the reports are compared with, such as data/train.jsonl",
    )
    audit.add_argument("--rare", type=int, default=20, metavar="N", help="name labels with fewer entities (default 20)")
    audit.add_argument("--output", type=Path, help="folder for audit.json and audit.html")
    audit.add_argument("--strict", action="store_true", help="exit with 3 when there are errors")
    audit.set_defaults(run=_audit)

    take = commands.add_parser("import", help="reports from the export of an annotation tool")
    take.add_argument("format", metavar="FORMAT", help=_FORMATS)
    take.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders of the tool's export")
    take.add_argument("--output", type=Path, required=True, help="file of reports to write (JSON Lines)")
    take.add_argument(
        "--labels", type=Path, metavar="YAML", help="the tool's labels and ours: `PER: ACTOR`, `MISC: null`"
    )
    take.add_argument("--encoding", default="utf-8", help="of text files (default utf-8)")
    take.add_argument(
        "--overlaps", choices=("reject", "longest"), default="reject", help="reports with spans that overlap"
    )
    take.add_argument(
        "--unannotated", choices=("leave", "empty"), default="leave", help="leave out, or take as without entities"
    )
    take.add_argument(
        "--offsets",
        choices=("auto", "codepoints", "utf16", "graphemes"),
        default="auto",
        help="what doccano's offsets count",
    )
    take.add_argument("--report", type=Path, metavar="JSON", help="file for the counts and all that was changed")
    take.set_defaults(run=_import)

    give = commands.add_parser("export", help="reports for an annotation tool")
    give.add_argument("format", metavar="FORMAT", help=_FORMATS)
    give.add_argument("files", nargs="+", type=Path, metavar="FILE", help="annotated reports (JSON Lines)")
    give.add_argument("--output", type=Path, required=True, help="file or new folder to write")
    give.set_defaults(run=_export)

    split = commands.add_parser("split", help="deal annotated reports out to train, dev and test")
    split.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="files of annotated reports, or their folder"
    )
    split.add_argument("--output", type=Path, required=True, help="folder for train.jsonl, dev.jsonl and test.jsonl")
    split.add_argument(
        "--shares",
        nargs=3,
        type=float,
        default=[0.7, 0.1, 0.2],
        metavar=("TRAIN", "DEV", "TEST"),
        help="default 0.7 0.1 0.2",
    )
    split.add_argument(
        "--group-by", metavar="KEY", help="keep reports of one value together: date (published), source or another key"
    )
    split.add_argument(
        "--keep", type=Path, metavar="DIR", help="a split that exists: its reports stay where they are, others join it"
    )
    split.add_argument("--seed", type=int, default=13, help="default 13")
    split.set_defaults(run=_split)

    agreement = commands.add_parser("agreement", help="compare two annotations of the same reports")
    agreement.add_argument("first", type=Path, help="a file of annotated reports, or a folder of them")
    agreement.add_argument("second", type=Path, help="the same reports, annotated again")
    agreement.add_argument("--output", type=Path, help="folder for agreement.json and agreement.html, to decide in")
    agreement.add_argument("--decisions", type=Path, metavar="FILE", help="what was decided in agreement.html")
    agreement.add_argument("--write", type=Path, metavar="FILE", help="file for the reports as decided")
    agreement.set_defaults(run=_agreement)

    errors = commands.add_parser(
        "errors",
        help="likely mistakes in annotated reports",
        usage="marsad errors [options] FILE … [KEY=VALUE …]",
        description="Trains a network for each fold of the reports, on the others, and ranks the places where it finds "
        "something else than the annotation. `data` of the config is not used.",
    )
    errors.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="annotated reports (JSON Lines), then KEY=VALUE"
    )
    errors.add_argument("--config", type=Path, default=Path("configs/marsad.yaml"), help="(configs/marsad.yaml)")
    errors.add_argument("--folds", type=int, default=3, metavar="N", help="parts that are left out in turn (3)")
    errors.add_argument("--top", type=int, default=50, metavar="N", help="suspects to print (50)")
    errors.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for errors.json and errors.html; keeps finished folds, so that a run that broke off goes on",
    )
    errors.set_defaults(run=_errors, overrides=[])

    queue = commands.add_parser("queue", help="which reports to annotate next")
    queue.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="reports, of whatever form `marsad predict` takes"
    )
    queue.add_argument("--model", type=Path, required=True, help="a model folder; it also pre-annotates")
    _add_runtime(queue)
    queue.add_argument("--size", type=int, metavar="N", help="reports to choose (200, where --words does not say)")
    queue.add_argument("--words", type=int, metavar="N", help="the most words that they may have together")
    queue.add_argument(
        "--exclude",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="annotated reports, or their folder: these and what is nearly equal to them are skipped",
    )
    queue.add_argument(
        "--diversity", type=float, default=0.5, metavar="SHARE", help="weight of being unlike the others, 0 to 1 (0.5)"
    )
    queue.add_argument("--format", choices=("labelstudio", "doccano", "jsonl"), required=True)
    queue.add_argument("--output", type=Path, required=True, help="file to import into the tool")
    queue.add_argument("--report", type=Path, metavar="JSON", help="file for all that was chosen and skipped, and why")
    queue.set_defaults(run=_queue)
    return parser


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("model", help="a model folder")
    predict.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="JSON Lines, plain text, CSV, TSV or Parquet, packed (.gz, .zst, .xz) or not; a folder or a glob of them; "
        "an address (s3://…); - for standard input",
    )
    predict.add_argument(
        "--output",
        default="-",
        metavar="FILE",
        help=".jsonl, .csv or .parquet, packed or not; an address; - for stdout (the default)",
    )
    reading = predict.add_argument_group("what is read")
    reading.add_argument(
        "--input-format", choices=("jsonl", "txt", "csv", "tsv", "parquet"), help="instead of what the endings say"
    )
    reading.add_argument("--text-column", default="text", metavar="NAME", help="key or column of the text (text)")
    reading.add_argument("--id-column", default="id", metavar="NAME", help="key or column of the id (id)")
    reading.add_argument("--line-ids", action="store_true", help="make ids of the file's name and the line instead")
    reading.add_argument("--per-line", action="store_true", help="a plain text holds a report a line, not one report")
    reading.add_argument("--delimiter", metavar="CHARACTER", help="between the fields of CSV files")
    reading.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="of all inputs but Parquet, such as cp1256 (utf-8)"
    )
    reading.add_argument(
        "--max-bytes", type=_positive, default=16 << 20, metavar="N", help="reject larger reports (16777216)"
    )
    reading.add_argument("--max-rejects", type=int, metavar="N", help="stop when more rows are no reports")
    writing = predict.add_argument_group("what is written")
    writing.add_argument(
        "--explode",
        nargs="?",
        const="entities",
        choices=("entities", "casualties"),
        help="a row an entity, or a casualty number with what it is told with, instead of a row a report",
    )
    writing.add_argument(
        "--carry", metavar="NAME[=NEW],…", help="input columns to carry along, under another name or not; all for all"
    )
    writing.add_argument("--rename", metavar="NAME=NEW,…", help="other names for the output's own columns")
    facts = predict.add_argument_group("facts: what the entities say, as values")
    facts.add_argument("--facts", action="store_true", help="add the value of each entity, and the report's incidents")
    facts.add_argument(
        "--published", metavar="YYYY-MM-DD", help="the day of reports that have no key or column `published`"
    )
    facts.add_argument("--gazetteer", metavar="FILE", help="your own places (TSV or CSV), before those built in")
    facts.add_argument("--actors", metavar="FILE", help="your own actors (YAML) instead of those built in")
    work = predict.add_argument_group("how the work is done")
    work.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with what an earlier run left in OUT.partial (the default), or begin anew",
    )
    work.add_argument("--work", metavar="FOLDER", help="where the shards lie until the output is whole (OUT.partial)")
    work.add_argument("--shard-reports", type=_positive, default=512, metavar="N", help="reports in a shard (512)")
    work.add_argument(
        "--shard-of", type=_share, metavar="I/N", help="do every N-th shard from the I-th on, join nothing"
    )
    work.add_argument("--engine", choices=("local", "ray"), default="local", help="this process, or workers of Ray")
    work.add_argument("--workers", type=_positive, metavar="N", help="workers of Ray (as many as there are CPUs)")
    work.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster; one is started here otherwise")
    _add_runtime(work)
    work.add_argument(
        "--threads", type=_positive, metavar="N", help="CPU cores to use (those that the process may use)"
    )
    work.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 … (a GPU if there is one)")
    work.add_argument("--metrics", type=Path, metavar="FILE", help="figures for Prometheus' node exporter")
    predict.set_defaults(run=_predict)


def _positive(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r}, expected a number from 1")
    return min(int(value), _MOST)


def _share(value: str) -> tuple[int, int]:
    index, _, count = value.partition("/")
    if not index.isdecimal() or not count.isdecimal():
        raise argparse.ArgumentTypeError(f"{value!r}, expected two numbers such as 3/16")
    return int(index), int(count)


def _pairs(value: str | None) -> dict[str, str]:
    """``a,b=c`` as ``{a: a, b: c}``."""
    pairs = (one.partition("=") for one in (value or "").split(",") if one)
    return {name.strip(): new.strip() or name.strip() for name, _, new in pairs}


def _add_runtime(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--runtime",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="PyTorch, or its int8 file in ONNX Runtime (auto: int8 on a CPU, where it has one)",
    )


def _set_up_output() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half-written is cleared away
    rank = os.environ.get("RANK", "0")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console that has no Arabic shows escapes instead of failing
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("marsad").setLevel(logging.INFO if rank == "0" else logging.ERROR)


def _check_folder(output: Path | None) -> None:
    """Raises MarsadError where reports can't be written in the end; asked before hours of work."""
    if output is None:
        return
    if output.exists() and not output.is_dir():
        raise MarsadError(f"{output}: is a file, expected a folder for the reports")
    check_writable(output.resolve(), output)


def _quiet_transformers() -> None:
    # Its load reports and bars would drown ours; what matters of them we check and say ourselves.
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _train(options: argparse.Namespace) -> int:
    from marsad.config import load_config

    config = load_config(options.config, options.overrides)
    _quiet_transformers()
    from marsad.modeling.artifacts import read_manifest
    from marsad.modeling.data import describe_source
    from marsad.modeling.training import train

    result = train(config, resume=options.resume, overwrite=options.overwrite)
    if os.environ.get("RANK", "0") == "0":
        print(f"strict scores on dev ({describe_source(read_manifest(result.folder).data['dev'])})")
        print(result.dev.table())
        print(f"model: {result.folder}")
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from marsad.modeling.pretraining_config import load_pretraining_config

    config = load_pretraining_config(options.config, options.overrides)
    _quiet_transformers()
    from marsad.modeling.pretraining import pretrain

    result = pretrain(config, resume=options.resume, overwrite=options.overwrite)
    if os.environ.get("RANK", "0") == "0":
        before, after = result.judgements[0], result.judgements[-1]
        print(f"before: {before}")
        print(f"after {after.step} steps: {after}")
        print(f"encoder: {result.folder}")
    return 0


def _search(options: argparse.Namespace) -> int:
    _check_folder(options.output)
    if find_spec("optuna") is None:
        raise MarsadError("searching needs the package optuna: pip install 'marsad[search]'")
    _quiet_transformers()
    from marsad.modeling.search import search

    result = search(options.config, options.output)
    print(result.table())
    print(f"best: {result.best}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    _check_folder(options.output)
    if options.gold_spans:
        return _evaluate_gold_spans(options)
    if options.predictions and options.inputs[0].is_dir():
        raise MarsadError(f"{options.inputs[0]}: with --predictions no model is run; leave the folder away")
    model, files = (None, options.inputs) if options.predictions else (options.inputs[0], options.inputs[1:])
    if not files:
        raise MarsadError(f"{model}: expected a model folder and then files of annotated reports to judge it on")
    _quiet_transformers()
    from marsad.evaluation.evaluate import evaluate
    from marsad.facts.facts import FactTables

    evaluation = evaluate(
        model,
        files,
        predictions=options.predictions,
        baseline=options.baseline,
        gate=options.gate,
        train=options.train,
        resamples=options.resamples,
        seed=options.seed,
        runtime=options.runtime,
        baseline_runtime=options.baseline_runtime,
        facts=FactTables.load() if options.facts else None,
    )
    print(evaluation.table())
    if options.output is not None:
        folder = evaluation.write(options.output)
        print(f"reports: {folder}/report.html, report.md, report.json")
    return 0 if evaluation.passed else 3


def _evaluate_gold_spans(options: argparse.Namespace) -> int:
    if not options.facts:
        raise MarsadError("--gold-spans goes with --facts: values are read on the gold spans")
    for name in ("predictions", "baseline", "gate"):
        if getattr(options, name) is not None:
            raise MarsadError(f"--gold-spans judges no system; leave --{name} away")
    from marsad.evaluation.facts import evaluate_gold_spans
    from marsad.files import write_report

    evaluation = evaluate_gold_spans(options.inputs)
    print(evaluation.table())
    if options.output is not None:
        print(f"report: {write_report(options.output / 'report.json', evaluation.record())}")
    return 0


def _promote(options: argparse.Namespace) -> int:
    _check_folder(options.output)
    _quiet_transformers()
    from marsad.evaluation.promotion import promote

    promotion = promote(
        options.model, options.test or [Path("data/test.jsonl")], options.current, options.gate, options.onnx
    )
    print(promotion.evaluation.table())
    if options.output is not None:
        folder = promotion.evaluation.write(options.output)
        print(f"reports: {folder}/report.html, report.md, report.json")
    if promotion.unchecked is not None:
        print(f"not checked whether it was trained on the test split: {promotion.unchecked}")
    if not promotion.promoted:
        print(f"not promoted; {options.current} stays as it is")
        return 3
    print(f"promoted: {options.current} is now {options.model}{' (the first)' if promotion.first else ''}")
    if isinstance(promotion.onnx, str):
        print(f"int8: not exported ({promotion.onnx}); later: marsad export-onnx {options.current}")
    else:
        print(f"int8 {promotion.onnx}")
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from marsad.evaluation.promotion import rollback

    entry = rollback(options.current)
    print(f"{options.current} is again the model {entry['model']['fingerprint'][:12]}")
    return 0


def _fact_files(options: argparse.Namespace) -> FactFiles | None:
    """The tables that facts are to be read by; None where none are wanted."""
    from marsad.annotations.jsonl import date_from_record
    from marsad.facts.facts import FactFiles

    if options.facts or options.explode == "casualties":
        try:
            date_from_record(options.published)
        except ValueError as error:
            raise MarsadError(f"--{error}") from None
        return FactFiles(options.gazetteer, options.actors)
    for name in ("published", "gazetteer", "actors"):
        if getattr(options, name) is not None:
            raise MarsadError(f"--{name} says how facts are read; add --facts")
    return None


def _predict(options: argparse.Namespace) -> int:
    _quiet_transformers()
    from marsad.batch.jobs import STANDARD_OUTPUT, Job, is_stream, rejects_path, run_job
    from marsad.batch.readers import Reading
    from marsad.batch.writers import Layout, output_format
    from marsad.files import to_json

    carry = None if options.carry == "all" else _pairs(options.carry)
    facts = _fact_files(options)
    form, packed = output_format(options.output)
    job = Job(
        model=options.model,
        inputs=tuple(options.inputs),
        output=options.output,
        reading=Reading(
            input_format=options.input_format,
            text_column=options.text_column,
            id_column=options.id_column,
            line_ids=options.line_ids,
            per_line=options.per_line,
            delimiter=options.delimiter,
            encoding=options.encoding,
            max_bytes=options.max_bytes,
            carry=None if carry is None else tuple(carry),
            published=facts is not None,
            published_day=options.published,
        ),
        layout=Layout(
            form,
            packed,
            options.explode is not None,
            carry,
            _pairs(options.rename),
            facts=facts,
            casualties=options.explode == "casualties",
        ),
        engine=options.engine,
        workers=options.workers,
        address=options.address,
        device=options.device,
        runtime=options.runtime,
        threads=options.threads,
        work=options.work,
        shard_reports=options.shard_reports,
        shard_of=options.shard_of,
        max_rejects=options.max_rejects,
        resume=options.resume,
        metrics=options.metrics,
    )
    out = sys.stderr if job.output == STANDARD_OUTPUT else sys.stdout
    try:
        summary = run_job(job)
    except (KeyboardInterrupt, SystemExit) as stop:
        code = int(stop.code or 0) if isinstance(stop, SystemExit) else 130
        kept = "a stream begins anew" if is_stream(job.output) else "the same command goes on from here"
        print(f"marsad: interrupted; {kept}", file=sys.stderr)
        print(to_json({"status": "interrupted", "output": job.output, "exit_code": code}), file=out)
        return code
    print(f"{summary.reports} reports, {summary.entities} entities: {job.output}", file=out)
    if summary.rejects:
        named = "they are named above" if is_stream(job.output) else rejects_path(job.output)
        print(f"{summary.rejects} rows rejected: {named}", file=out)
    print(to_json(summary.record()), file=out)
    return summary.exit_code


def _export_onnx(options: argparse.Namespace) -> int:
    _quiet_transformers()
    from marsad.modeling.export import export_onnx

    record = export_onnx(options.model, options.dev, options.max_drop)
    print(f"int8 {record}")
    return 0 if record.adopted else 3


def _audit(options: argparse.Namespace) -> int:
    from marsad.annotations.audit import audit_files
    from marsad.annotations.pages import audit_page
    from marsad.files import write_page, write_report

    audit = audit_files(options.paths, options.against, options.reference, options.rare)
    print(audit.table())
    if options.output is not None:
        print(f"report: {write_report(options.output / 'audit.json', audit.record())}")
        print(f"page: {write_page(options.output / 'audit.html', audit_page(audit))}")
    return 3 if options.strict and audit.errors else 0


def _import(options: argparse.Namespace) -> int:
    from marsad.annotations.formats.importing import import_files
    from marsad.files import write_report

    result = import_files(
        options.format,
        options.paths,
        options.output,
        options.labels,
        options.encoding,
        options.overlaps,
        options.unannotated,
        options.offsets,
    )
    print(result.table())
    if options.report is not None:
        print(f"report: {write_report(options.report, result.record())}")
    print(f"{result.imported} reports: {options.output}")
    if result.rejected:
        print(f"{result.rejected.total()} rejected: {result.rejects}")
    return result.exit_code


def _export(options: argparse.Namespace) -> int:
    from marsad.annotations.formats.importing import export_files

    count = export_files(options.format, options.files, options.output)
    print(f"{count} reports: {options.output}")
    return 0


def _split(options: argparse.Namespace) -> int:
    from marsad.annotations.jsonl import document_files, read_documents
    from marsad.annotations.splits import SPLITS, read_split, split_documents, write_split

    kept = None
    if options.keep is not None:
        kept = read_split(options.keep)
        if not kept:
            raise MarsadError(f"{options.keep}: holds no {' or '.join(f'{name}.jsonl' for name in SPLITS)} to keep")
    documents = read_documents(document_files(options.paths), annotated=True)
    shares = dict(zip(SPLITS, options.shares, strict=True))
    split = split_documents(documents, shares, options.group_by, options.seed, kept)
    paths = write_split(split, options.output)
    print(split.table())
    print(f"split: {', '.join(str(path) for path in paths)}")
    return 0


def _agreement(options: argparse.Namespace) -> int:
    from marsad.annotations.agreement import adjudicate, compare_annotations, read_decisions
    from marsad.annotations.jsonl import document_files, read_documents, write_documents
    from marsad.annotations.pages import agreement_page
    from marsad.files import write_page, write_report

    if (options.decisions is None) != (options.write is None):
        raise MarsadError("--decisions and --write go together: the decisions to apply, and the file to write")
    first, second = (read_documents(document_files([path]), annotated=True) for path in (options.first, options.second))
    agreement = compare_annotations(first, second)
    print(agreement.table())
    if options.output is not None:
        page = agreement_page(agreement, str(options.first), str(options.second))
        print(f"report: {write_report(options.output / 'agreement.json', agreement.record())}")
        print(f"page: {write_page(options.output / 'agreement.html', page)}")
    if options.write is not None:
        documents = adjudicate(agreement, first, read_decisions(options.decisions))
        write_documents(documents, options.write)
        print(f"{len(documents)} reports: {options.write}")
    return 0


def _errors(options: argparse.Namespace) -> int:
    from marsad.config import load_config

    _check_folder(options.output)
    overrides = [str(path) for path in options.files if "=" in path.name and not path.exists()] + options.overrides
    files = [path for path in options.files if str(path) not in overrides]
    if not files:
        raise MarsadError("expected files of annotated reports before KEY=VALUE")
    _quiet_transformers()
    from marsad.annotations.mistakes import EPOCHS, find_mistakes, mistakes_page
    from marsad.files import write_page, write_report

    config = load_config(options.config, [f"training.epochs={EPOCHS}", "training.runs=1", *overrides])
    mistakes = find_mistakes(files, config, options.folds, options.output)
    print(mistakes.table(options.top))
    if options.output is not None:
        print(f"report: {write_report(options.output / 'errors.json', mistakes.record())}")
        print(f"page: {write_page(options.output / 'errors.html', mistakes_page(mistakes))}")
    return 0


def _queue(options: argparse.Namespace) -> int:
    check_apart(options.inputs, options.output)
    if options.output.is_dir():
        raise MarsadError(f"{options.output}: is a folder, expected a file to write")
    _quiet_transformers()
    from marsad.annotations.selection import build_queue, write_queue
    from marsad.files import write_report

    size = 200 if options.size is None and options.words is None else options.size
    queue, version = build_queue(
        *(options.model, options.inputs, size, options.exclude, options.words, options.diversity, options.runtime)
    )
    print(queue.table())
    write_queue(queue, options.output, options.format, version)
    if options.report is not None:
        print(f"report: {write_report(options.report, queue.record())}")
    print(f"{len(queue.chosen)} reports: {options.output}")
    return 0


if __name__ == "__main__":
    entry_point()
