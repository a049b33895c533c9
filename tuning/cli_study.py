"""Commands on study files and on the user's code: `tune init`, `tune check`, `tune schema`, `tune probe`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..storage.mistakes import Mistake
from . import options as o
from . import options_code as c
from . import options_data as d
from . import options_judging as j
from . import options_study as s
from .cli_shared import say, specification


def init(
    series: Annotated[
        str | None, typer.Argument(help="Series (CSV, .csv.gz, Parquet). Default: the packaged wind farm.")
    ] = None,
    out: s.StudyFileOption = Path("study.toml"),
    target: d.TargetOption = None,
    horizon: s.StepsAheadOption = None,
    known_ahead: d.KnownAheadOption = None,
    timestamp: d.TimestampOption = None,
    timezone: d.TimezoneOption = None,
    force: s.ForceOption = False,
    schema: s.SchemaOption = True,
    as_json: o.JsonOption = False,
) -> None:
    """Begin a study file for a series: what its columns mean, and every other setting with its default, explained.

    On a terminal it asks what the names of the columns do not say; piped it assumes the likeliest and says so. The file
    is checked on the series before it is written.
    """
    from .beginning import begin
    from .schema import NAME, study_schema

    beside = out.parent / NAME if schema else None
    _refuse_to_replace(out, beside, force=force)
    given = {"target": target, "horizon": horizon, "timestamp": timestamp, "timezone": timezone}
    asked = {name: value for name, value in given.items() if value is not None}
    asked |= o.as_tables({"known_ahead": known_ahead})
    begun = begin(series, out, asked, ask=_asker(), with_schema=schema)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(begun.text, encoding="utf-8")
    if beside is not None:
        beside.write_text(json.dumps(study_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for sentence in begun.assumed:
        say(sentence)
    if as_json:
        written = {"study_file": str(out), "schema": None if beside is None else str(beside)}
        print(json.dumps({**written, "data": begun.data, "assumed": begun.assumed}, indent=2))
        return
    print(f"{out} written. What it would run: tune check {out}; a first look: tune --config {out} --preset quick")


@d.with_data
def check(
    study_file: Annotated[Path | None, typer.Argument(help="Study file (TOML). Default: what plain tune runs.")] = None,
    preset: s.PresetOption = None,
    data: d.Given = d.NOTHING,
    builder: o.BuilderOption = None,
    hypermodel: c.HypermodelOption = None,
    objective_function: c.ObjectiveFunctionOption = None,
    sampler: o.SamplerOption = None,
    validation: j.ValidationOption = None,
    splits: j.SplitsOption = None,
    trials: o.TrialsOption = None,
    epochs: o.EpochsOption = None,
    workers: o.WorkersOption = None,
    timed: s.TimedOption = True,
    as_json: o.JsonOption = False,
) -> None:
    """Check a study without starting it: all mistakes at once, what would be run, and what that would cost.

    Data are read and audited, a model is built, and three epochs are trained to see how long one takes. Nothing is
    written. Options win over the file, as with `tune`.
    """
    raw = specification(
        study_file,
        {
            "preset": preset,
            **data,
            "builder": builder,
            "hypermodel": hypermodel,
            "objective_function": objective_function,
            "search.sampler": sampler,
            "validation.method": validation,
            "validation.n_splits": splits,
            "search.trials": trials,
            "training.epochs": epochs,
        },
    )
    from . import checking
    from .presets import with_preset

    report = checking.check(with_preset({}, raw), workers=workers, timed=timed)
    print(json.dumps(report.to_json(), indent=2) if as_json else "\n".join(checking.lines(report)))


def schema() -> None:
    """Print the JSON schema of a study file, with which editors complete and check it (draft 2020-12)."""
    from .schema import study_schema

    print(json.dumps(study_schema(), indent=2, ensure_ascii=False))


def probe() -> None:
    """Look at the user's code that a specification on standard input names; started by the other commands."""
    from .probing import answer

    answer(sys.stdin.read())


def _refuse_to_replace(out: Path, beside: Path | None, *, force: bool) -> None:
    """Neither a study file that is there already, nor a file of ours' name that is not ours.

    Raises:
        Mistake: with what would be replaced.
    """
    if out.is_dir():
        raise Mistake(f"`--out` must be a file; {out} is a folder. Use {out / 'study.toml'}.")
    if force:
        return
    found = []
    if out.exists():
        found.append(f"`--out` must be a new file; {out} exists. Use another name, or replace it with --force.")
    if beside is not None and beside.exists() and not _is_ours(beside):
        found.append(
            f"{beside} exists and is no schema of greentune. Move it, leave the schema out with --no-schema, or "
            "replace it with --force."
        )
    if found:
        raise Mistake(found)


def _is_ours(file: Path) -> bool:
    from .schema import TITLE

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("title") == TITLE


def _asker() -> Callable[[str, str, Callable[[str], str | None]], str] | None:
    """Asks the person at the terminal until an answer is right; None where there is nobody to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None

    def ask(question: str, usual: str, refused: Callable[[str], str | None]) -> str:
        while True:
            answer = str(typer.prompt(question, default=usual or None, err=True)).strip()
            mistake = refused(answer)
            if mistake is None:
                return answer
            say(mistake)

    return ask
