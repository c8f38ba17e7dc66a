"""`seawall dataset`: training data sets at rest, sealed; opened by an entry."""

from __future__ import annotations

import asyncio
import csv
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast, get_args

import typer

from seawall.app.ports import Rows, RowsForm
from seawall.app.seal_dataset import DescribedDataset, describe
from seawall.app.step_up import Proof
from seawall.cli.install import OPERATOR
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import print_json, print_table, say
from seawall.compose import Installation, dataset_files, dataset_intents, log_to
from seawall.core.errors import Conflict, Invalid
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from seawall.app.seal_dataset import OpenedDataset, SealDataset, SealedDataset

commands = typer.Typer(no_args_is_help=True, help="Seal training data sets at rest, and open them.")

_FORMS: Final = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
_STANDARD: Final = Path("-")
_STOPS: Final = (signal.SIGTERM, signal.SIGHUP)

ResultT = TypeVar("ResultT")

Form = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="parquet, csv or ndjson; else what the file's name ends in says, else ndjson.",
        show_default=False,
    ),
]
SealedFile = Annotated[Path, typer.Argument(metavar="FILE", help="The sealed file.")]


@commands.callback()
def dataset() -> None:
    """Seal training data sets at rest, and open them."""


@commands.command()
def seal(
    rows: Annotated[
        Path, typer.Argument(metavar="ROWS", help="Parquet, CSV or NDJSON; - is standard input.")
    ],
    name: Annotated[str, typer.Option("--name", help="The data set's name; no person's.")],
    to: Annotated[Path, typer.Option("--to", help="The new sealed file.")],
    form: Form = None,
    one_column: Annotated[
        bool,
        typer.Option("--one-column", help="The CSV has one column, though its header has ; in it."),
    ] = False,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Seal rows into one encrypted Parquet file, verified by reading it back, and record it.

    The rows are left where they are: delete them yourself.
    """
    source = _rows(None if rows == _STANDARD else rows, form, has_one_column=one_column)
    sealed = _run(_seal(open_installation(data_dir, passphrase_file), tenant, name, source, to))
    if json:
        print_json(
            {
                "dataset": sealed.name,
                "item": sealed.file,
                "rows": sealed.written.rows,
                "columns": sealed.columns,
                "size": sealed.written.size,
                "digest": sealed.written.digest,
                "entry": sealed.entry,
                "file": str(to),
            }
        )
        return
    say(f"sealed {sealed.written.rows:,} rows of {sealed.columns:,} columns into {to}")
    say(f"entry {sealed.entry}; {sealed.written.digest}")
    if source.path is not None:
        say("the rows that were read are still there, in plain: delete them if nobody needs them")


async def _seal(
    installation: Installation, tenant: str | None, name: str, source: Rows, to: Path
) -> SealedDataset:
    chosen = await choose_tenant(installation, tenant)
    async with _intents(installation) as intents:
        return await intents.seal(Principal("operator", OPERATOR, chosen), name, source, to)


@commands.command("open")
def open_(
    file: SealedFile,
    purpose: Annotated[
        str,
        typer.Option("--purpose", help=f"Why: {', '.join(each.value for each in Purpose)}."),
    ],
    operator: Annotated[
        str | None, typer.Option("--operator", help="Who opens it, by the name of the enrolment.")
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", help="The operator's one-time code; else it is asked.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Only these, separated by commas as in CSV; else all."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Refuse the file unless it is this data set.")
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(
            "--file", help="Refuse any file but the one of this id; an older one opens so alone."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A new file; else standard output.")
    ] = None,
    form: Form = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
) -> None:
    """Open a data set, or some of its columns, in plain; recorded before anything opens."""
    to = _rows(out, form)
    if out is None and to.form == "parquet":
        raise Invalid("rows-form", "Parquet goes into a file", "name one with --out")
    proof = _proof(operator, code)
    wanted = None if columns is None else next(csv.reader([columns], skipinitialspace=True), [])
    say("warning: what is opened is PHI in plain, out of Seawall's hands from here on")
    opened = _run(
        _open(
            open_installation(data_dir, passphrase_file),
            tenant,
            proof,
            _purpose(purpose),
            file,
            to,
            wanted,
            (name, item),
        )
    )
    where = "standard output" if out is None else str(out)
    say(
        f"opened {opened.rows:,} rows of {len(opened.columns):,} columns into {where}; "
        f"entry {opened.entry}"
    )


async def _open(
    installation: Installation,
    tenant: str | None,
    proof: Proof | None,
    purpose: Purpose,
    file: Path,
    to: Rows,
    columns: list[str] | None,
    meant: tuple[str | None, str | None],
) -> OpenedDataset:
    chosen = await choose_tenant(installation, tenant)
    caller = Principal("operator", OPERATOR, chosen)
    async with _intents(installation) as intents:
        name, item = meant
        return await intents.open(
            caller, proof, purpose, file, to, columns=columns, expected=name, file=item
        )


@commands.command()
def show(file: SealedFile, json: Json = False) -> None:
    """Show what anybody can read of a sealed file; opens nothing, and needs no data folder."""
    found = asyncio.run(_described(file))
    said = {
        "tenant": found.tenant,
        "dataset": found.name,
        "item": found.file,
        "columns": found.columns,
        "size": found.size,
        "digest": found.digest,
        "algorithm": "AES_GCM_V1, 256 bit",
    }
    if json:
        print_json(said)
        return
    print_table("", ("what", "says"), ((name, str(value)) for name, value in said.items()))
    say("nothing of this is verified before the file opens; rows and names are encrypted")


async def _described(file: Path) -> DescribedDataset:
    async with dataset_files().opening(file) as held:
        return describe(held)


@asynccontextmanager
async def _intents(installation: Installation) -> AsyncIterator[SealDataset]:
    """Claim the data folder; where a server holds it, say what to do instead."""
    files = dataset_files()
    try:
        async with installation.write() as writer:
            yield dataset_intents(installation, writer, files)
    except Conflict as conflict:
        if conflict.code != "folder-in-use":
            raise
        raise Conflict(
            conflict.code,
            "a server or another command holds this data folder, and a data set needs its ledger",
            "stop it first; on PostgreSQL this works while the server serves",
        ) from None


def _run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run to the end, or until a signal: then what it began to write is taken away first."""
    # An alarm goes beside what is printed, which may be rows.
    log_to(sys.stderr, "error")
    return asyncio.run(_until_stopped(work))


async def _until_stopped(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Cancel work on SIGTERM and SIGHUP, and exit as a process does that they end.

    A second one ends the process at once: a pipe that nobody reads cannot be waited for.
    """
    working, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    stopped: list[int] = []
    # One that is ignored, as under nohup, stays so.
    heeded = [each for each in _STOPS if signal.getsignal(each) is not signal.SIG_IGN]

    def let_go() -> None:
        for each in heeded:
            loop.remove_signal_handler(each)

    def stop(number: int) -> None:
        let_go()
        stopped.append(number)
        working.cancel()

    for each in heeded:
        loop.add_signal_handler(each, stop, each)
    try:
        return await working
    except asyncio.CancelledError:
        if not stopped:
            raise
        say("stopped")
        raise typer.Exit(128 + stopped[0]) from None
    finally:
        let_go()


def _rows(path: Path | None, form: str | None, *, has_one_column: bool = False) -> Rows:
    ending = path.suffix.lower() if path is not None else ".ndjson"
    chosen = form or _FORMS.get(ending)
    if chosen not in get_args(RowsForm):
        raise Invalid(
            "rows-form",
            "the form of the rows is not plain",
            "say --format parquet, csv or ndjson",
        )
    return Rows(path, cast("RowsForm", chosen), has_one_column)


def _purpose(text: str) -> Purpose:
    try:
        return Purpose(text)
    except ValueError:
        raise Invalid(
            "purpose-unknown",
            "this is no purpose",
            f"use one of {', '.join(each.value for each in Purpose)}",
        ) from None


def _proof(operator: str | None, code: str | None) -> Proof | None:
    if operator is None:
        return None
    return Proof(operator, code or typer.prompt("code", hide_input=True, err=True))
