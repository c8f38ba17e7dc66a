"""`seawall ledger events` and `produce`: what audit tools read, and the package for an audit."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from seawall.app.ledger_query import read_query
from seawall.app.produce import HOURS, Order
from seawall.app.record_reading import Reading
from seawall.cli.install import OPERATOR
from seawall.cli.ledger.recording import readings_of
from seawall.cli.ledger.writing import ZipWriter, whole_file
from seawall.cli.options import (
    Action,
    Actor,
    DataDir,
    Endpoint,
    Json,
    Outcome,
    PassphraseFile,
    Patient,
    Since,
    System,
    Tenant,
    Until,
    UseCase,
    Why,
    choose_log,
    open_installation,
)
from seawall.cli.output import echo, pour, print_json, say
from seawall.compose import audit_export, audit_producer
from seawall.core.audit.lines import fhir_lines, json_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.ports import Query
    from seawall.compose import Installation

_SAY_EVERY: Final = 10_000
_SECONDS_AN_HOUR: Final = 3_600
_CHUNK: Final = 1 << 20


class EventFormat(StrEnum):
    """In which form entries are written."""

    FHIR = "fhir"
    JSONL = "jsonl"


def events(
    event_format: Annotated[
        EventFormat,
        typer.Option("--format", help="FHIR R4 AuditEvents (NDJSON), or entries as JSON lines."),
    ] = EventFormat.FHIR,
    out: Annotated[
        Path | None, typer.Option("--out", help="A new file; else standard output.")
    ] = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    patient: Patient = None,
    use_case: UseCase = None,
    endpoint: Endpoint = None,
    action: Action = None,
    outcome: Outcome = None,
    reason: Why = None,
) -> None:
    """Write the entries that meet every filter for an audit tool, all of them, in order."""
    installation = open_installation(data_dir, passphrase_file)
    given = {
        "since": since,
        "until": until,
        "actor": actor,
        "patient": patient,
        "use-case": use_case,
        "endpoint": endpoint,
        "action": action,
        "outcome": outcome,
    }
    query = read_query(
        {name: value for name, value in given.items() if value is not None},
        installation.clock.now_ms(),
    )
    write: Callable[[bytes], object] = lambda line: pour(line.decode())  # noqa: E731  one of two
    if out is None:
        asyncio.run(
            _write_events(installation, tenant, query, event_format, write, reason, system=system)
        )
        return
    with whole_file(out) as file:
        count = asyncio.run(
            _write_events(
                installation, tenant, query, event_format, file.write, reason, system=system
            )
        )
    say(f"wrote {count:,} entries to {out}")


async def _write_events(
    installation: Installation,
    tenant: str | None,
    query: Query,
    event_format: EventFormat,
    write: Callable[[bytes], object],
    reason: str | None,
    *,
    system: bool,
) -> int:
    log = await choose_log(installation, tenant, system=system)
    readings = await readings_of(installation, log, tenant, reason)
    recorded = await readings.record(Reading("export", log, query))
    origin, export = (await installation.store.head(log)).origin, audit_export(installation)
    found = await export.found(log, query, recorded.size)
    patient, count = dict(query.facets).get("patient"), 0
    async for piece in export.entries(log, found):
        for index, raw in piece:
            if event_format is EventFormat.FHIR:
                write(fhir_lines(origin, index, raw, patient))
            else:
                write(json_line(origin, index, raw))
            count += 1
            if count % _SAY_EVERY == 0:
                say(f"wrote {count:,} of {len(found):,} entries")
    return count


def produce(
    begin: Annotated[
        str, typer.Option("--from", help="From this time on: 2026-11-01, or 90d for as long ago.")
    ],
    end: Annotated[str, typer.Option("--to", help="Before this time, in the same forms.")],
    out: Annotated[Path, typer.Option("--out", help="The package: a new zip file.")],
    patient: Patient = None,
    whole_log: Annotated[
        bool, typer.Option("--whole-log", help="A copy of the whole log too; not with --patient.")
    ] = False,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    reason: Why = None,
    json: Json = False,
) -> None:
    """Make the package for an audit: entries of a period with proofs, which strangers verify."""
    installation = open_installation(data_dir, passphrase_file)
    given = {"since": begin, "until": end, **({} if patient is None else {"patient": patient})}
    query = read_query(given, installation.clock.now_ms())
    begun = installation.clock.monotonic()
    with whole_file(out) as file:
        with closing(ZipWriter(file)) as writer:
            manifest = asyncio.run(
                _produce(
                    installation,
                    tenant,
                    query,
                    writer,
                    reason,
                    system=system,
                    whole_log=whole_log,
                )
            )
        digest = _sha256(file)
    took = installation.clock.monotonic() - begun
    result = {
        "file": str(out),
        "sha256": digest,
        "entries": manifest["entries"],
        "audit_events": manifest["audit_events"],
        "proofs": manifest["proofs"],
        "whole_log": manifest["whole_log"],
        "seconds": round(took, 3),
        "hours_that_buyers_ask_for": HOURS,
    }
    if json:
        print_json(result)
        return
    echo(f"produced {manifest['entries']:,} entries in {out}")
    echo(f"sha256   {digest}")
    share = 100 * took / (HOURS * _SECONDS_AN_HOUR)
    echo(
        f"took     {took:.1f} seconds: {share:.4f} % of the {HOURS} hours that buyers ask for "
        "(practice, not law)"
    )


def _sha256(file: IO[bytes]) -> str:
    """Return the digest of all that a file holds."""
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_CHUNK):
        digest.update(piece)
    return digest.hexdigest()


async def _produce(
    installation: Installation,
    tenant: str | None,
    query: Query,
    writer: ZipWriter,
    reason: str | None,
    *,
    system: bool,
    whole_log: bool,
) -> dict[str, Any]:
    """Write the package; return its manifest."""
    log = await choose_log(installation, tenant, system=system)
    readings = await readings_of(installation, log, tenant, reason)
    recorded = await readings.record(Reading("produce", log, query))
    order = Order(
        log,
        query,
        recorded.size,
        made_by=f"{readings.tenant}/{OPERATOR}",
        reading=recorded.entry,
        whole_log=whole_log,
    )
    written, last, content = 0, "", b""
    async for name, content in audit_producer(installation).package(order):
        writer.write(name, content)
        written += name != last
        if name != last and written % _SAY_EVERY == 0:
            say(f"wrote {written:,} files")
        last = name
    manifest: dict[str, Any] = orjson.loads(content)  # the manifest is the last
    return manifest
