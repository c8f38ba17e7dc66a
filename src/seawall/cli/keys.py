"""`seawall keys`: see, rotate, wrap anew and shred the keys of a tenant.

Whatever changes keys needs the second factor of a named operator.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from seawall.app.may_shred import REASONS
from seawall.app.ports import SYSTEM_LOG
from seawall.app.step_up import Proof
from seawall.app.successions import line_of
from seawall.cli.keys_ordering import KeyOrders
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_log,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import console, echo, print_json, print_table, say
from seawall.compose import log_to
from seawall.core.errors import Invalid, Missing
from seawall.core.seal.certificate import open_by_one, read_file, write_file
from seawall.core.seal.certificate_page import page_of

if TYPE_CHECKING:
    from seawall.app.ports import Store
    from seawall.compose import Installation

commands = typer.Typer(no_args_is_help=True, help="See, rotate and shred keys.")

OperatorName = Annotated[
    str | None, typer.Option("--operator", help="The operator whose second factor this is.")
]
Code = Annotated[
    str | None, typer.Option("--code", help="The code that the operator's device shows.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]
DropDamaged = Annotated[
    bool,
    typer.Option(
        "--drop-damaged",
        help="Delete data keys that open nothing, where they stand in the way; for good.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for certificates; else certificates in the data folder."),
]


@commands.callback()
def keys() -> None:
    """See, rotate and shred keys."""


@commands.command("list")
def list_(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """List a tenant's root and tenant keys by version, with how many data keys each wraps."""
    said = _status(open_installation(data_dir, passphrase_file), tenant)
    if json:
        print_json(
            {name: said[name] for name in ("tenant", "provider", "shredded", "root", "keys")}
        )
        return
    rows = [
        ("root", str(one["version"]), said["provider"], one["made"], one["state"])
        for one in said["root"]
    ]
    rows += [
        (
            f"tenant ({one['use']})",
            str(one["version"]),
            f"root {one['root']}",
            one["made"],
            f"{one['data_keys']:,} data keys" if one["use"] == "data" else "",
        )
        for one in said["keys"]
    ]
    title = f"Keys of {said['tenant']}" + (" (shredded)" if said["shredded"] else "")
    print_table(title, ("key", "version", "under", "made", ""), rows)


@commands.command()
def status(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Say what is due, what is left to wrap anew, and which shreddings are not finished."""
    said = _status(open_installation(data_dir, passphrase_file), tenant)
    if json:
        print_json(said)
        return
    due = (
        (one["what"], one["by"], "overdue" if one["overdue"] else "due", one["because"])
        for one in said["due"]
    )
    print_table(f"Due for {said['tenant']}", ("what", "by", "state", "because"), due)
    echo(f"left to wrap anew: {said['left']:,} data keys")
    for one in said["rotating"]:
        echo(f"unfinished: rotation of {one['what']} keys, entry {one['entry']}")
    if not said["operators"]:
        echo("nobody may change keys yet: seawall keys enrol NAME")
    done = (
        (
            str(one["entry"]),
            one["at"],
            one["what"] if one["what"] == "tenant" else f"{one['patients']} patients",
            one["reason"],
            "done" if one["done"] else "unfinished: seawall keys shred --resume",
        )
        for one in said["shreddings"]
    )
    print_table("Shreddings", ("entry", "ordered", "of", "reason", "state"), done)


@commands.command()
def rotate(
    what: Annotated[str, typer.Argument(help="root, tenant or data.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    patient: Annotated[
        str | None, typer.Option("--patient", help="Whose data key: a FHIR id or record number.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Which data key, such as patient.identifiers.")
    ] = None,
    operator: OperatorName = None,
    code: Code = None,
    json: Json = False,
) -> None:
    """Make a new version of a key; what the older ones sealed still opens."""
    order = {"do": "rotate", "what": what, "patient": patient, "kind": kind}
    given = {name: value for name, value in order.items() if value is not None}
    installation = open_installation(data_dir, passphrase_file)
    done = _order(installation, tenant, given, _proof(operator, code))
    if json:
        print_json(done)
        return
    echo(f"{done['what']} key: version {done['version']} is in use")
    if "rewrapped" in done:
        echo(f"{done['rewrapped']:,} data keys were wrapped anew")


@commands.command()
def rewrap(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    drop_damaged: DropDamaged = False,
    operator: OperatorName = None,
    code: Code = None,
    json: Json = False,
) -> None:
    """Wrap what is left of a tenant's data keys under its newest key; goes on where it was."""
    order = _with_damaged({"do": "rewrap"}, drop=drop_damaged)
    installation = open_installation(data_dir, passphrase_file)
    done = _order(installation, tenant, order, _proof(operator, code))
    if json:
        print_json(done)
    else:
        echo(f"{done['rewrapped']:,} data keys were wrapped anew")


@commands.command()
def shred(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    patient: Annotated[
        list[str] | None,
        typer.Option("--patient", help="A patient, by FHIR id or record number; may be repeated."),
    ] = None,
    ledger_id: Annotated[
        list[str] | None,
        typer.Option("--ledger-id", help="A patient, by the ledger id; may be repeated."),
    ] = None,
    whole_tenant: Annotated[
        bool, typer.Option("--whole-tenant", help="Everything of the tenant.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help=f"One of {', '.join(REASONS)}.")] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish what was interrupted; order nothing.")
    ] = False,
    drop_damaged: DropDamaged = False,
    operator: OperatorName = None,
    code: Code = None,
    out: Out = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Destroy the keys of patients or of a tenant for good, and write the certificate."""
    installation = open_installation(data_dir, passphrase_file)
    chosen = asyncio.run(choose_tenant(installation, tenant))
    order = _shredding(chosen, patient or [], ledger_id or [], whole=whole_tenant, resume=resume)
    order = _with_damaged(order, drop=drop_damaged)
    if not resume:
        order["reason"] = reason
        _confirm(chosen, order, yes=yes)
    done = _order(installation, chosen, order, _proof(operator, code))
    written = [_write(installation, chosen, one, out) for one in done["shredded"]]
    if json:
        print_json(written)
    elif not written:
        echo("nothing is unfinished")
    for one in [] if json else written:
        echo(f"shredded: entry {one['ordered']} ordered it, entry {one['destroyed']} ended it")
        echo(f"certificate: {one['json']}")
        echo(f"             {one['page']}")


@commands.command()
def certificate(
    entry: Annotated[int, typer.Argument(min=0, help="The entry keys.destroyed.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Write a certificate of destruction again, out of the ledger."""
    installation = open_installation(data_dir, passphrase_file)
    chosen = asyncio.run(choose_tenant(installation, tenant))
    done = _order(installation, chosen, {"do": "certificate", "entry": entry}, None)
    written = _write(installation, chosen, done["shredded"][0], out)
    if json:
        print_json(written)
    else:
        echo(f"certificate: {written['json']}")
        echo(f"             {written['page']}")


@commands.command()
def check(
    file: Annotated[Path, typer.Argument(help="A certificate of destruction, as JSON.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    vkey: Annotated[
        str | None,
        typer.Option("--vkey", help="The verifier key of the system's log; else the folder's own."),
    ] = None,
    json: Json = False,
) -> None:
    """Check the signature of a certificate of destruction, and show what it says."""
    try:
        note = read_file(file.read_bytes())
    except OSError:
        raise Missing("file-missing", "the file cannot be read", "check its name") from None
    if vkey is None:
        installation = open_installation(data_dir, passphrase_file)
        vkeys = asyncio.run(_own_keys(installation.store))
    else:
        vkeys = [vkey]
    body = open_by_one(note, vkeys)
    if json:
        print_json(body)
        return
    whose = "the whole tenant" if body["what"] == "tenant" else f"{len(body['patients'])} patients"
    echo(f"signed as it stands: {whose} of {body['tenant']}, {body['reason']}")
    echo(f"data keys deleted: {body['deleted']['data_keys']:,}")
    echo(f"final at {body['keys']['final_at']}; {len(body['beyond'])} things it cannot reach")


@commands.command()
def enrol(
    name: Annotated[str, typer.Argument(help="The operator's name.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: Annotated[
        bool,
        typer.Option("--system", help="One of the system, who acts for all tenants, here alone."),
    ] = False,
    operator: OperatorName = None,
    code: Code = None,
    json: Json = False,
) -> None:
    """Give an operator of a tenant a second factor; the secret is shown this once.

    The first one needs no code; every other one is enrolled by one who is. The first one,
    and a new factor for who has one, need the data folder: stop a server that holds it.
    """
    installation = open_installation(data_dir, passphrase_file)
    chosen = asyncio.run(choose_log(installation, tenant, system=system))
    done = _order(installation, chosen, {"do": "enrol", "name": name}, _proof(operator, code))
    if json:
        print_json(done)
        return
    echo(done["uri"])
    if system:
        say(f"this operator's name is system.{name}")
    say("give this to the operator's authenticator now: it is shown this once")


def _status(installation: Installation, tenant: str | None) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        """Ask about the tenant that is meant."""
        return await KeyOrders(installation, await choose_tenant(installation, tenant)).status()

    return asyncio.run(ask())


def _order(
    installation: Installation, tenant: str | None, order: dict[str, Any], proof: Proof | None
) -> dict[str, Any]:
    """Carry out an order, with a bar that says how far it is where somebody looks."""
    # Alarms beside what is printed, not in it: that an operator was enrolled is one.
    log_to(sys.stderr, "error")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console(stderr=True), disable=not sys.stderr.isatty())

    async def ask() -> dict[str, Any]:
        """Order it for the tenant that is meant."""
        is_system = tenant == SYSTEM_LOG and order["do"] == "enrol"
        chosen = await choose_log(installation, tenant, system=is_system)
        orders = KeyOrders(installation, chosen)
        with bar:
            shown = bar.add_task("working", total=None)

            def progress(what: str, at: int, of: int) -> None:
                """Move the bar."""
                bar.update(shown, description=what, completed=at, total=of)

            return await orders.carry_out(order, proof, progress)

    return asyncio.run(ask())


def _shredding(
    tenant: str, patients: list[str], ids: list[str], *, whole: bool, resume: bool
) -> dict[str, Any]:
    """Return the order that the options make; `Invalid` unless they make exactly one."""
    meant = [whole, resume, bool(patients or ids)]
    if sum(meant) != 1:
        raise Invalid(
            "shredding-unclear",
            "it is not plain what is to be shredded",
            "use one of --patient, --ledger-id, --whole-tenant and --resume",
        )
    if resume:
        return {"do": "resume"}
    if whole:
        return {"do": "shred", "tenant": tenant}
    return {"do": "shred", "patients": patients, "ids": ids}


def _with_damaged(order: dict[str, Any], *, drop: bool) -> dict[str, Any]:
    """Return an order that also deletes data keys which open nothing, if that was said."""
    return {**order, "drop_damaged": True} if drop else order


def _confirm(tenant: str, order: dict[str, Any], *, yes: bool) -> None:
    """Ask for the tenant's name, unless a script said that it is meant."""
    if yes:
        return
    count = len(order.get("patients", ())) + len(order.get("ids", ()))
    what = (
        "EVERYTHING that was sealed"
        if "tenant" in order
        else f"what was sealed for {count} patients"
    )
    say(f"This destroys the keys of {what} for the tenant {tenant}. Nothing can undo it.")
    if typer.prompt(f"Type {tenant} to go on", err=True) != tenant:
        raise Invalid("not-confirmed", "that is another name", "nothing was changed")


def _proof(operator: str | None, code: str | None) -> Proof | None:
    """Return the second factor that was given, asking for a code that was not."""
    if operator is None:
        return None
    if code is None:
        code = str(typer.prompt(f"Code of {operator}", hide_input=True, err=True))
    return Proof(operator, code.strip())


def _write(
    installation: Installation, tenant: str, done: dict[str, Any], out: Path | None
) -> dict[str, Any]:
    """Check a certificate, and write it as JSON and as a page; return where."""
    note = str(done["certificate"])
    body = open_by_one(note, asyncio.run(_own_keys(installation.store)))
    folder = out or installation.settings.data_dir / "certificates"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / f"{tenant}-{done['destroyed']}"
    as_json, as_page = place.with_suffix(".json"), place.with_suffix(".html")
    as_json.write_bytes(write_file(note))
    as_page.write_text(page_of(body, note), "utf-8")
    said: dict[str, Any] = {name: done[name] for name in done if name != "certificate"}
    return {**said, "json": str(as_json), "page": str(as_page)}


async def _own_keys(store: Store) -> list[str]:
    """Return the verifier keys of the system's log, and of those that it succeeded, newest last."""
    line = set(await line_of(store, SYSTEM_LOG))
    heads = [head for head in await store.logs() if head.log in line]
    return [head.vkey for head in sorted(heads, key=lambda head: head.log, reverse=True)]
