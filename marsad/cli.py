"""The commands: ``marsad train|evaluate|predict|export-onnx|audit|agreement``."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from marsad import __version__
from marsad.errors import MarsadError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 done, 2 a mistake in what was given, 3 a check failed or rows were rejected."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse takes positional arguments in one run only; overrides may stand after options too.
    if rest and not (options.run is _train and all("=" in one and not one.startswith("-") for one in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides += rest
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
    evaluate.add_argument("--output", type=Path, help="folder for report.json, report.md and report.html")
    evaluate.set_defaults(run=_evaluate)

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
    audit.add_argument("--output", type=Path, help="folder for audit.json")
    audit.add_argument("--strict", action="store_true", help="exit with 3 when there are errors")
    audit.set_defaults(run=_audit)

    agreement = commands.add_parser("agreement", help="compare two annotations of the same reports")
    agreement.add_argument("first", type=Path, help="a file of annotated reports, or a folder of them")
    agreement.add_argument("second", type=Path, help="the same reports, annotated again")
    agreement.add_argument("--output", type=Path, help="folder for agreement.json")
    agreement.set_defaults(run=_agreement)
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
        required=True,
        metavar="FILE",
        help=".jsonl, .csv or .parquet, packed or not; an address; - for stdout",
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
        "--max-bytes", type=_positive, default=16 << 20, metavar="N", help="reject larger reports (16777216)"
    )
    reading.add_argument("--max-rejects", type=int, metavar="N", help="stop when more rows are no reports")
    writing = predict.add_argument_group("what is written")
    writing.add_argument("--explode", action="store_true", help="a row an entity instead of a row a report")
    writing.add_argument(
        "--carry", metavar="NAME[=NEW],…", help="input columns to carry along, under another name or not; all for all"
    )
    writing.add_argument("--rename", metavar="NAME=NEW,…", help="other names for the output's own columns")
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
    return int(value)


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


def _quiet_transformers() -> None:
    # Its load reports and bars would drown ours; what matters of them we check and say ourselves.
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _train(options: argparse.Namespace) -> int:
    from marsad.config import load_config

    config = load_config(options.config, options.overrides)
    _quiet_transformers()
    from marsad.modeling.training import train

    result = train(config, resume=options.resume, overwrite=options.overwrite)
    if os.environ.get("RANK", "0") == "0":
        print(f"strict scores on dev ({', '.join(str(path) for path in config.data.dev)})")
        print(result.dev.table())
        print(f"model: {result.folder}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    if options.output is not None and options.output.exists() and not options.output.is_dir():
        raise MarsadError(f"{options.output}: is a file, expected a folder for the reports")
    model, files = (None, options.inputs) if options.predictions else (options.inputs[0], options.inputs[1:])
    if not files:
        raise MarsadError(f"{model}: expected a model folder and then files of annotated reports to judge it on")
    _quiet_transformers()
    from marsad.evaluation.evaluate import evaluate

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
    )
    print(evaluation.table())
    if options.output is not None:
        folder = evaluation.write(options.output)
        print(f"reports: {folder}/report.html, report.md, report.json")
    return 0 if evaluation.passed else 3


def _predict(options: argparse.Namespace) -> int:
    _quiet_transformers()
    from marsad.batch.jobs import STANDARD_OUTPUT, Job, is_stream, run_job
    from marsad.batch.readers import Reading
    from marsad.batch.writers import Layout, output_format
    from marsad.files import to_json

    carry = None if options.carry == "all" else _pairs(options.carry)
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
            max_bytes=options.max_bytes,
            carry=None if carry is None else tuple(carry),
        ),
        layout=Layout(form, packed, options.explode, carry, _pairs(options.rename)),
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
        print(f"{summary.rejects} rows rejected: {job.output}.rejects.jsonl", file=out)
    print(to_json(summary.record()), file=out)
    return summary.exit_code


def _export_onnx(options: argparse.Namespace) -> int:
    _quiet_transformers()
    from marsad.modeling.export import export_onnx

    record = export_onnx(options.model, options.dev, options.max_drop)
    fp32, int8 = record.fp32["overall"]["f1"], record.int8["overall"]["f1"]
    print(f"strict F1 on {', '.join(record.dev['files'])}: fp32 {fp32:.4f}, int8 {int8:.4f}, drop {record.drop:.4f}")
    if not record.adopted:
        print(f"refused: a drop of at most {record.max_drop:g} is allowed; {options.model} goes on with PyTorch")
        return 3
    print(f"adopted: {options.model}/model.int8.onnx, onnx.json")
    return 0


def _audit(options: argparse.Namespace) -> int:
    from marsad.annotations.audit import audit_files
    from marsad.files import write_report

    audit = audit_files(options.paths, options.against)
    print(audit.table())
    if options.output is not None:
        print(f"report: {write_report(options.output / 'audit.json', audit.record())}")
    return 3 if options.strict and audit.errors else 0


def _agreement(options: argparse.Namespace) -> int:
    from marsad.annotations.agreement import compare_annotations
    from marsad.annotations.jsonl import document_files, read_documents
    from marsad.files import write_report

    first, second = (read_documents(document_files([path])) for path in (options.first, options.second))
    agreement = compare_annotations(first, second)
    print(agreement.table())
    if options.output is not None:
        print(f"report: {write_report(options.output / 'agreement.json', agreement.record())}")
    return 0


if __name__ == "__main__":
    entry_point()
