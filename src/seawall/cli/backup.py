"""`seawall backup` and `seawall restore`: sealed copies, made while serving, restored whole."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from seawall.app.backup.recording import (
    Drilled,
    last_drill,
    record_backup,
    record_drill,
    reported,
)
from seawall.app.backup.restore import Wanted
from seawall.cli.install import OPERATOR
from seawall.cli.options import DataDir, Json, PassphraseFile, open_installation
from seawall.cli.output import console, print_json, print_table, say
from seawall.cli.running import fetch_token, send_backup, server_url
from seawall.compose import (
    Installation,
    backup_maker,
    backup_verifier,
    differing_from_ledger,
    drill_backup,
    is_older_than_ledger,
    repository_of,
    require_settings_repository,
    restore_folder,
)
from seawall.config import environment, read_passphrase, read_settings
from seawall.core.errors import Conflict, Invalid, Missing, Tampered
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from seawall.app.backup.make import Made
    from seawall.app.backup.restore import Restored
    from seawall.app.backup.verify import Findings

commands = typer.Typer(
    help="Make a sealed backup while serving; verify it; say how it stands.",
    invoke_without_command=True,
)
To = Annotated[
    Path | None,
    typer.Option("--to", help="The backup's folder; else the one of the settings."),
]
From = Annotated[Path, typer.Option("--from", help="The backup's folder.")]


@commands.callback()
def backup(
    context: typer.Context,
    to: To = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=0, help="How many snapshots stay; 0 means all.")
    ] = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make a sealed backup of everything, also while a server serves; what is there is reused."""
    if context.invoked_subcommand is not None:
        return
    installation = open_installation(data_dir, passphrase_file)
    folder, set_keep = _place(installation, to)
    began = time.monotonic()
    with _progress("backing up") as progress:
        if to is None:
            # To begin one, or another, where one was, the folder is named.
            asyncio.run(require_settings_repository(installation, folder))
        was_older = asyncio.run(is_older_than_ledger(installation, folder))
        made = asyncio.run(
            _make(installation, folder, set_keep if keep is None else keep, progress)
        )
    seconds = round(time.monotonic() - began, 1)
    if json:
        told = {**asdict(made), "folder": str(folder), "seconds": seconds}
        print_json({**told, "was_older": was_older})
        return
    say(
        f"made {made.snapshot}: {made.logs} logs, {made.rows} rows, {made.size} bytes in "
        f"{made.files} files, {made.written} bytes of them new, in {seconds} s"
    )
    if was_older:
        say("warning: the folder lacked the last backup: it was ended, or an older copy lies there")
    for path in made.unread:
        say(f"warning: {path} of an older snapshot cannot be read; what it may need was kept")
    say("whoever holds this folder and the passphrase, or the key manager, can restore it")


async def _make(
    installation: Installation, folder: Path, keep: int, progress: Callable[[str, int], None]
) -> Made:
    async def record(made: Made) -> None:
        """Make the entry durable: here, or by the server that holds the folder."""
        backup = installation.settings.backup
        is_settings = backup is not None and Path(backup.folder).resolve() == folder.resolve()
        said = {"what": "make", **record_backup(made, is_settings=is_settings)}
        await _record(installation, said)

    return await backup_maker(installation, folder, keep).make(record, progress)


async def _record(installation: Installation, said: dict[str, Any]) -> None:
    try:
        async with installation.write() as writer:
            tenants = await installation.store.tenants()
            principal = Principal("operator", OPERATOR, next(iter(tenants), "system"))
            await writer.record_backup.record(principal, said)
            return
    except Conflict as conflict:
        if conflict.code != "folder-in-use":
            raise
    settings = installation.settings
    tenant = next(iter(sorted(await installation.store.tenants())), "")
    url = server_url(settings.data_dir)
    client = f"{tenant}/{OPERATOR}"
    answer = await fetch_token(
        settings,
        client=client,
        key_file=settings.data_dir / "clients" / f"{tenant}-{OPERATOR}.jwk",
        url=url,
        authority=settings.authority,
    )
    # The server believes it for the keys, and not for the token alone.
    key, now_ms = installation.ring.key("receipts"), installation.clock.now_ms()
    told = reported(said, receipt_key=key, by=client, at_ms=now_ms)
    await send_backup(url, answer["access_token"], settings.authority, told)


@commands.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The backup's folder.")],
    keyless: Annotated[
        bool, typer.Option("--keyless", help="Without keys: compare with what was signed.")
    ] = False,
    vkey: Annotated[
        str | None, typer.Option("--vkey", help="The key that must have signed it.")
    ] = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Look at every byte of a backup, and name each file that is missing, changed or extra."""
    installation = None if keyless else open_installation(data_dir, passphrase_file)
    with _progress("verifying") as progress:
        found = backup_verifier(folder, installation, vkey).verify(
            lambda size: progress("files", size)
        )
    if installation is not None and found.is_sound:
        found.damaged |= asyncio.run(differing_from_ledger(installation, folder))
    if json:
        print_json({**asdict(found), "sound": found.is_sound})
    else:
        _tell(found)
    if not found.is_sound:
        first = min(found.damaged)
        raise Tampered(
            "backup-damaged",
            f"{len(found.damaged)} files of the backup are missing or changed, the first is "
            f"{first}",
            "use another copy of the backup, make a new one, and treat a change as an incident",
        )


def _tell(found: Findings) -> None:
    rows = [*sorted(found.damaged.items()), *((path, "extra") for path in found.extra)]
    if rows:
        print_table("", ("file", "what"), rows)
    how = "opened and compared" if found.is_opened else "compared with what was signed"
    say(f"{found.files} files, {found.size} bytes, {len(found.snapshots)} snapshots {how}")


@commands.command()
def status(
    to: To = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Say which snapshots there are, whether they are this ledger's, and when a drill was."""
    installation = open_installation(data_dir, passphrase_file)
    folder, _ = _place(installation, to)
    told = asyncio.run(_status(installation, folder))
    if json:
        print_json(told)
        return
    rows = [
        (one["snapshot"], one["made"], str(one["rows"]), str(one["logs"]))
        for one in told["snapshots"]
    ]
    print_table("", ("snapshot", "made", "rows", "logs"), rows)
    for path, what in told["differing"].items():
        say(f"warning: {path} is {what}")
    drilled = told["drill"]
    say(f"last drill: {drilled['at'] if drilled else 'none'}")
    if told["drill_overdue"]:
        say(f"a restore drill is overdue: {told['drill_days']} days (45 CFR 164.308(a)(7)(ii)(D))")


async def _status(installation: Installation, folder: Path) -> dict[str, Any]:
    repository = repository_of(installation, folder)
    index = await asyncio.to_thread(repository.index)
    snapshots = []
    for name, _ in index.snapshots:
        manifest = await asyncio.to_thread(repository.manifest, name)
        snapshots.append(
            {
                "snapshot": name,
                "made": manifest.made,
                "rows": sum(manifest.rows().values()),
                "logs": len(manifest.logs),
            }
        )
    drilled = await last_drill(installation.store)
    backup = installation.settings.backup
    days = backup.drill_days if backup else 90
    limit = installation.clock.now() - timedelta(days=days)
    is_overdue = drilled is None or datetime.fromisoformat(str(drilled["at"])) < limit
    return {
        "folder": str(folder),
        "repository": index.repository,
        "snapshots": snapshots,
        "differing": await differing_from_ledger(installation, folder),
        "drill": drilled,
        "drill_days": days,
        "drill_overdue": is_overdue,
    }


def restore(
    source: From,
    to: Annotated[
        Path | None, typer.Option("--to", help="A new data folder; with a drill, where it works.")
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", help="Which snapshot; else the newest.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A signed checkpoint that is known; again for more."),
    ] = None,
    successor: Annotated[
        bool,
        typer.Option(
            "--successor", help="Behind a known checkpoint: freeze the log, begin a new one."
        ),
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="The origin of a known log to give up; again for more."),
    ] = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="Restore in a scratch place, time it, remove it.")
    ] = False,
    owner: Annotated[
        str | None, typer.Option("--owner", help="The role that owns PostgreSQL's tables.")
    ] = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Restore a backup into a new folder, and into an empty database; verify everything first."""
    wanted = Wanted(
        snapshot=snapshot,
        known=tuple(_note(path) for path in checkpoint or ()),
        is_successor=successor,
        without=tuple(without or ()),
    )
    if drill:
        _drill(source, to, wanted, data_dir, passphrase_file, json=json)
        return
    if to is None:
        raise Invalid("restore-unclear", "no folder to restore into is named", "name it with --to")
    settings = read_settings(to, environment())
    passphrase = read_passphrase(settings.data_dir, environment(), passphrase_file)
    began = time.monotonic()
    with _progress("restoring") as progress:
        restored = asyncio.run(
            restore_folder(source, settings, passphrase, wanted, owner=owner, progress=progress)
        )
    told = {**asdict(restored), "seconds": round(time.monotonic() - began, 1)}
    told.pop("files")
    if json:
        print_json(told)
        return
    _say_restored(restored, told["seconds"])


def _say_restored(restored: Restored, seconds: float) -> None:
    say(
        f"restored {restored.snapshot} of {restored.made}: {restored.logs} logs, "
        f"{restored.rows} rows, all verified, in {seconds} s"
    )
    say(_opened(restored))
    for log in restored.succeeded:
        say(f"{log}: what was restored is frozen; a new log names it, and the gap")
    say("secrets of endpoints are not in a backup: put them into secrets/ again")


def _drill(
    source: Path,
    scratch: Path | None,
    wanted: Wanted,
    data_dir: Path | None,
    passphrase_file: Path | None,
    *,
    json: bool,
) -> None:
    settings = read_settings(data_dir, environment())
    passphrase = read_passphrase(settings.data_dir, environment(), passphrase_file)
    installation = Installation.open(settings, passphrase)
    began = time.monotonic()
    with _progress("restore drill") as progress:
        restored = asyncio.run(
            _until_ended(
                drill_backup(
                    installation, source, passphrase, wanted, scratch=scratch, progress=progress
                )
            )
        )
    drilled = Drilled(
        restored.snapshot,
        restored.rows,
        restored.size,
        round((time.monotonic() - began) * 1000),
    )
    asyncio.run(_record(installation, {"what": "drill", **record_drill(drilled)}))
    if json:
        print_json(asdict(drilled))
        return
    say(
        f"restored {drilled.snapshot} in a scratch place and removed it: {drilled.rows} rows, "
        f"{drilled.size} bytes, {drilled.milliseconds / 1000:.1f} s; it is recorded"
    )
    say(_opened(restored))


def _opened(restored: Restored) -> str:
    return (
        f"{restored.opened} sealed values were opened; {restored.shredded} were left out, "
        "whose patients were shredded"
    )


async def _until_ended(working: Coroutine[Any, Any, Restored]) -> Restored:
    """Let a drill clean up also where the process is told to end."""
    task = asyncio.ensure_future(working)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


def _place(installation: Installation, to: Path | None) -> tuple[Path, int]:
    """Return the repository's folder and how many snapshots stay."""
    settings = installation.settings.backup
    keep = settings.keep if settings else 0
    if to is not None:
        return to, keep
    if settings is None:
        raise Invalid(
            "backup-unclear",
            "no folder for backups is named",
            "name it with --to, or in the settings as [backup] folder",
        )
    return Path(settings.folder), keep


def _note(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise Missing(
            "checkpoint-missing",
            "the file of a known checkpoint cannot be read",
            "name a file that holds one signed checkpoint",
        ) from None


class _progress:  # noqa: N801  it is used as a function
    """Shows how many bytes are done, on a terminal; nothing where there is none."""

    def __init__(self, title: str) -> None:
        self._shown = Progress(
            TextColumn(title),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not console(stderr=True).is_terminal,
        )
        self._task = self._shown.add_task(title, total=None)

    def __enter__(self) -> Callable[[str, int], None]:
        self._shown.start()
        return lambda _what, size: self._shown.advance(self._task, size)

    def __exit__(self, *_: object) -> None:
        self._shown.stop()
