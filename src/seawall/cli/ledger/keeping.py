"""`seawall ledger archive` and `prune`: keeping the logs for as long as they must be kept."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seawall.app.archive_ledger import standings
from seawall.app.keeping import keeping_fields
from seawall.app.ports import SYSTEM_LOG, whose
from seawall.cli.install import OPERATOR
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    System,
    Tenant,
    choose_log,
    open_installation,
)
from seawall.cli.output import echo, print_json, print_table, say
from seawall.compose import archives_of, planning_of
from seawall.core.errors import Conflict, Invalid
from seawall.core.ledger.facets import moment_text
from seawall.core.ledger.retention import Stop, Why
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.archive_ledger import Standing
    from seawall.app.ports import Head
    from seawall.app.prune_ledger import Plan
    from seawall.compose import Installation, Writer

_TELL_SECONDS: Final = 3.0
_BECAUSE: Final = {
    Why.YOUNG: "it is younger than the retention: it may go from",
    Why.HELD: "a legal hold keeps it:",
    Why.TIMELESS: "its time cannot be read: it is kept for ever",
    Why.INCOMPLETE: "its bundle is not full yet",
    Why.UNARCHIVED: "two archives, one of them locked, do not hold it yet",
}


def archive(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    status: Annotated[
        bool, typer.Option("--status", help="Say how far each archive is; archive nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring every archive of the settings up to every log, or say how far each is.

    A running server archives by itself.
    """
    installation = open_installation(data_dir, passphrase_file)
    if not installation.settings.archives:
        raise Invalid(
            "no-archives",
            "the settings name no archive",
            "add [[archives]] to seawall.toml: see docs/how-to/keep-the-ledger.md",
        )
    if not status:
        asyncio.run(_archive(installation))
    _show(asyncio.run(_standings(installation)), json=json)


def prune(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; delete nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete the oldest entries of a log that nothing asks for any more.

    Only what two archives hold, one of them locked; what is older than the retention;
    what no legal hold keeps.
    """
    installation = open_installation(data_dir, passphrase_file)
    plan = asyncio.run(_prune(installation, tenant, system=system, dry_run=dry_run))
    is_done = not dry_run and plan.upto > plan.head.minimum
    if json:
        print_json(_said(plan, is_done=is_done))
    else:
        _tell(plan, is_done=is_done)


async def _archive(installation: Installation) -> None:
    telling = _Telling(installation)

    def progress(name: str, head: Head, bundles: int) -> None:
        """Say how far an archive is, now and then."""
        telling.tell(f"{name}: {head.log}, {bundles:,} of {head.size // 256:,} bundles")

    async with _writing(installation, "the server archives by itself: see --status") as writer:
        await writer.archiving.all(is_whole=True, progress=progress)


async def _standings(installation: Installation) -> list[Standing]:
    archives = archives_of(installation.settings)
    try:
        return await standings(installation.store, archives)
    finally:
        for each in archives:
            await each.close()


async def _prune(
    installation: Installation, tenant: str | None, *, system: bool, dry_run: bool
) -> Plan:
    log = await choose_log(installation, tenant, system=system)
    telling = _Telling(installation)

    def progress(what: str, at: int, of: int) -> None:
        """Say what is being done, now and then."""
        telling.tell(f"{what}: entry {at:,} of {of:,}")

    if dry_run:
        archives = archives_of(installation.settings)
        try:
            return await planning_of(installation, archives).plan(log, progress)
        finally:
            for each in archives:
                await each.close()
    tenants = sorted(await installation.store.tenants())
    tenant = whose(log) if whose(log) != SYSTEM_LOG else next(iter(tenants), SYSTEM_LOG)
    principal = Principal("operator", OPERATOR, tenant)
    async with _writing(installation, "stop it, prune, and start it again") as writer:
        return await writer.pruning.prune(principal, log, progress)


@asynccontextmanager
async def _writing(installation: Installation, instead: str) -> AsyncIterator[Writer]:
    """Claim the data folder; where a server holds it, say what to do instead."""
    try:
        async with installation.write() as writer:
            yield writer
    except Conflict as conflict:
        if conflict.code != "folder-in-use":
            raise
        raise Conflict(
            conflict.code, "a server or another command holds this data folder", instead
        ) from None


class _Telling:
    """Says how far something is, but not more often than every few seconds."""

    def __init__(self, installation: Installation) -> None:
        self._clock = installation.clock
        self._told = self._clock.monotonic()

    def tell(self, text: str) -> None:
        """Say it, unless something was said just now."""
        if self._clock.monotonic() - self._told >= _TELL_SECONDS:
            self._told = self._clock.monotonic()
            say(text)


def _show(found: list[Standing], *, json: bool) -> None:
    """Print how far each archive follows each log."""
    if json:
        print_json(
            [
                {
                    "log": one.log,
                    "origin": one.origin,
                    "archive": one.archive,
                    "locked": one.is_locked,
                    "bundles": one.bundles,
                    "of": one.of,
                    "newest": "" if one.newest_ms is None else moment_text(one.newest_ms),
                }
                for one in found
            ]
        )
        return
    rows = [
        (
            one.log,
            one.archive,
            "locked" if one.is_locked else "its owner can delete",
            f"{one.bundles:,} of {one.of:,}",
            "never" if one.newest_ms is None else moment_text(one.newest_ms),
        )
        for one in found
    ]
    print_table("Archives", ("log", "archive", "strength", "full bundles", "newest"), rows)


def _said(plan: Plan, *, is_done: bool) -> dict[str, Any]:
    """Return a plan as JSON says it."""
    said: dict[str, Any] = {
        "log": plan.head.log,
        "origin": plan.head.origin,
        "size": plan.head.size,
        "minimum": plan.head.minimum,
        "upto": plan.upto,
        "pruned": is_done,
        "archives": list(plan.archives),
        **keeping_fields(plan.keeping),
    }
    if plan.stop is not None:
        stop: dict[str, Any] = {"entry": plan.stop.index, "why": plan.stop.why}
        said["stop"] = {**stop, "detail": plan.stop.detail}
    return said


def _tell(plan: Plan, *, is_done: bool) -> None:
    """Print a plan for a person."""
    count = plan.upto - plan.head.minimum
    if count:
        verb = "went" if is_done else "would go"
        echo(f"{plan.head.log}: {count:,} entries {verb}: {plan.head.minimum} to {plan.upto - 1}")
    else:
        echo(f"{plan.head.log}: nothing may go")
    echo(
        f"kept for {plan.keeping.years} years, {len(plan.keeping.holds)} legal holds in force, "
        f"archives: {', '.join(plan.archives)}"
    )
    if plan.stop is not None:
        echo(_why(plan.stop))


def _why(stop: Stop) -> str:
    return f"entry {stop.index} stays: {_BECAUSE[stop.why]} {stop.detail}".rstrip()
