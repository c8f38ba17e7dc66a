"""`seawall emergency list` and `review-due`: which emergencies there were, and what is left to do.

`list` counts entries of the ledger, so it is recorded as a reading of it; `review-due`
reads the registers, as `seawall get` does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from seawall.app.emergencies import CurrentEmergencies
from seawall.app.emergency_reviews import EmergencyHistory, reading_of
from seawall.cli.ledger.recording import readings_of
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import console, print_json, print_table
from seawall.core.plain import plain
from seawall.core.registers.register import Register

if TYPE_CHECKING:
    from seawall.compose import Installation

commands = typer.Typer(no_args_is_help=True, help="Emergency accesses, and their reviews.")

_WHAT: Final = {
    "access": "one patient's record",
    "mode": "emergency mode",
    "offline": "sign-in with an offline factor",
}
_STATES: Final = {
    "begun": "under way",
    "ended": "review is due",
    "expired": "review is due",
    "review-overdue": "review is OVERDUE",
    "reviewed": "reviewed",
}


@dataclass(frozen=True, slots=True)
class _AsKept:
    """One tenant's documents as they were read."""

    kept: Register

    def register(self, _tenant: str) -> Register:
        """Return them."""
        return self.kept


@commands.callback()
def emergency() -> None:
    """Emergency accesses, and their reviews."""


@commands.command("list")
def list_(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only those that were not reviewed.")
    ] = False,
    json: Json = False,
) -> None:
    """List emergencies with what was done under them, the newest first."""
    installation = open_installation(data_dir, passphrase_file)
    chosen, found = asyncio.run(_list(installation, tenant, open_only=open_only))
    if json:
        print_json(found)
        return
    console().print(Text(f"Emergencies of {chosen}", style="italic"))
    for one in found:
        console().print(_told(one))
    if not found:
        console().print(Text("(none)"))


@commands.command("review-due")
def review_due(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """List the reviews that are due, the most urgent first."""
    installation = open_installation(data_dir, passphrase_file)
    chosen, due = asyncio.run(_due(installation, tenant))
    if json:
        print_json(due)
        return
    rows = (
        (one["about"], one["what"], one["by"], "OVERDUE" if one["overdue"] else "due")
        for one in due
    )
    print_table(f"Reviews that are due for {chosen}", ("id", "what", "by", "state"), rows)


async def _list(
    installation: Installation, tenant: str | None, *, open_only: bool
) -> tuple[str, list[dict[str, Any]]]:
    chosen = await choose_tenant(installation, tenant)
    # Recording the reading brings the index up to the log's head, too.
    await (await readings_of(installation, chosen)).record(reading_of(chosen))
    history = await _history(installation, chosen)
    told = await history.listed(chosen, open_only=open_only)
    return chosen, [one.fields() for one in told]


async def _due(installation: Installation, tenant: str | None) -> tuple[str, list[dict[str, Any]]]:
    chosen = await choose_tenant(installation, tenant)
    history = await _history(installation, chosen)
    now_ms = installation.clock.now_ms()
    return chosen, [one.fields(now_ms) for one in history.due(chosen)]


async def _history(installation: Installation, tenant: str) -> EmergencyHistory:
    kept = _AsKept(Register(await installation.store.documents(tenant)))
    current = CurrentEmergencies(documents=kept, clock=installation.clock)
    return EmergencyHistory(current=current, store=installation.store, clock=installation.clock)


def _told(one: dict[str, Any]) -> Text:
    """Return one emergency as a block of lines."""
    review = one["review"]
    state = _STATES[one["state"]]
    if review is not None:
        state = f"reviewed: {review['finding']}"
    lines = [("who", f"{one['person']}, because {one['reason']}")]
    if one["patient"] is not None:
        lines.append(("patient", one["patient"]))
    if one["what"] != "offline":
        end = "until" if one["ended"] is None else "to"
        lines.append(("time", f"{_at(one['began'])} {end} {_at(one['ended'] or one['until'])}"))
    else:
        lines.append(("when", _at(one["began"])))
    did = ", ".join(f"{name} {count:,}" for name, count in one["did"].items()) or "nothing"
    lines.append(("done", did if one["did_all"] else f"{did}, and more that was not counted"))
    if review is None:
        lines.append(("review", f"by {_at(one['review_by'])}"))
    else:
        lines.append(("review", f"{_at(review['at'])} by {review['by']}"))
    head = Text.assemble(
        (one["id"], "bold"), f"  {_WHAT[one['what']]}  ", (state, "bold" if review is None else "")
    )
    return Text("\n").join(
        [head, *(Text(plain(f"  {name:<8}{said}")) for name, said in lines), Text("")]
    )


def _at(moment: str) -> str:
    """Return a moment to the minute, in UTC as entries have it."""
    return f"{moment[:10]} {moment[11:16]}Z"
