"""Keys: what sealing costs over the cipher alone, and how rarely OpenBao is asked."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import uvloop
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.clinic import TENANT, new_installation
from benchmarks.openbao import key_manager
from benchmarks.table import Table, figure, say
from seawall.adapters.keys.guarded import GuardedKeyManager
from seawall.app.entries import entry
from seawall.app.rewrap_keys import RewrapKeys
from seawall.config import Keys
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.effort import Effort
    from seawall.app.ports import KeyManager
    from seawall.compose import Installation, Writer

_KILOBYTE: Final = 1_024
_CLIENTS: Final = 64
_PATIENTS: Final = 200
"""So many patients take turns: each has its own data keys."""
_REQUEST: Final = "exchange.request"
_ANSWER: Final = "exchange.answer"


def measure(effort: Effort) -> Table:
    """Return the table of sealing, of questions to the key manager, and of wrapping anew."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place, key_manager() as url:
        rows = uvloop.run(_measure(effort, Path(place), url))
    return Table(
        "Keys: OpenBao as the key manager, SQLCipher as the database",
        ("what", "figure", "unit"),
        rows,
        (
            (
                "An exchange here opens a patient's identifiers once and seals a request and an "
                "answer. Its ledger entries are not part of it. OpenBao runs in memory on this "
                "machine, and shares its processors."
            ),
        ),
    )


async def _measure(effort: Effort, place: Path, url: str) -> list[tuple[str, str, str]]:
    installation = new_installation(place / "data", keys=Keys(provider="openbao", url=url))
    async with installation.write() as writer:
        await writer.open_tenant(TENANT)
        say("keys: sealing 1 KB")
        rows = await _sealing(writer, effort)
        say(f"keys: exchanges of {_CLIENTS} clients")
        rows += await _exchanges(installation, writer, effort)
        say(f"keys: making and wrapping anew {effort.data_keys:,} data keys")
        return rows + await _rewrapping(installation, writer, effort)


async def _sealing(writer: Writer, effort: Effort) -> list[tuple[str, str, str]]:
    """Return what sealing costs, the cipher alone, and the difference; in turns."""
    text, context = os.urandom(_KILOBYTE), Context(TENANT, _REQUEST, "p-1", "x-1")
    key, prefix = os.urandom(32), bytes(150)
    await writer.keys.seal(text, context)
    times = 40 * effort.appends
    ours, theirs = [], []
    for _ in range(effort.rounds):
        begun = time.process_time()
        for _ in range(times):
            await writer.keys.seal(text, context)
        ours.append((time.process_time() - begun) / times * 1e6)
        theirs.append(_cpu(lambda: AESGCM(key).encrypt(os.urandom(12), text, prefix), times))
    over = median(mine - raw for mine, raw in zip(ours, theirs, strict=True))
    return [
        ("sealing 1 KB, keys in memory", figure(median(ours)), "us of CPU"),
        ("AES-256-GCM of 1 KB alone", figure(median(theirs)), "us of CPU"),
        ("sealing over the cipher", figure(over), "us of CPU"),
    ]


async def _exchanges(
    installation: Installation, writer: Writer, effort: Effort
) -> list[tuple[str, str, str]]:
    manager = installation.key_manager
    subjects = tuple(f"{at:024x}" for at in range(_PATIENTS))
    known = [
        await writer.keys.seal(b"identifiers", Context(TENANT, "patient.identifiers", one, one))
        for one in subjects
    ]
    granted = entry(
        "phi.open",
        Principal("operator", "benchmarks", TENANT),
        installation.clock,
        patients=[],
        grant=terms(
            kinds=("patient.identifiers",),
            subjects=subjects,
            until_ms=installation.clock.now_ms() + 600_000,
        ),
    )
    grant = Grant(await writer.ledger.append(TENANT, granted))
    # From nothing held, as after a start; in the steady state it is once in ten minutes.
    writer.keys.forget(TENANT)
    before = _calls(manager)
    count = max(_CLIENTS, 4 * effort.exchanges)

    async def client(number: int) -> None:
        """Make every 64th exchange."""
        for at in range(number, count, _CLIENTS):
            subject = subjects[at % _PATIENTS]
            await writer.keys.open(known[at % _PATIENTS], grant)
            for kind in (_REQUEST, _ANSWER):
                await writer.keys.seal(b"said", Context(TENANT, kind, subject, f"x-{at}"))

    await asyncio.gather(*(client(number) for number in range(_CLIENTS)))
    asked = _calls(manager) - before
    return [
        (f"questions to OpenBao, {count:,} exchanges from nothing held", f"{asked}", "in all"),
        ("questions to OpenBao", figure(100 * asked / count), "per 100 exchanges"),
    ]


async def _rewrapping(
    installation: Installation, writer: Writer, effort: Effort
) -> list[tuple[str, str, str]]:
    keys, count = writer.wrapped_keys, effort.data_keys

    async def fill(number: int) -> None:
        """Keep every 64th row: copies would not open, so each is a data key of its own."""
        for at in range(number, count, 256):
            await writer.keys.new_data_key(TENANT, f"p-{at + 1}", "bulk.kind")

    await asyncio.gather(*(fill(number) for number in range(256)))
    await writer.keys.new_tenant_key(TENANT)
    rewrap = RewrapKeys(
        store=installation.store,
        ledger=writer.ledger,
        keys=keys,
        keeper=writer.keys,
        clock=installation.clock,
    )
    told: list[int] = []
    before, begun = _calls(installation.key_manager), time.perf_counter()
    moved = await rewrap.rewrap(
        Principal("operator", "benchmarks", TENANT),
        TENANT,
        lambda _what, done, _of: told.append(done),
    )
    seconds = time.perf_counter() - begun
    if moved < count or told != sorted(told):
        raise RuntimeError("not every data key was wrapped anew")
    asked = _calls(installation.key_manager) - before
    return [
        (f"wrapping {moved:,} data keys anew", figure(seconds), "s"),
        ("data keys wrapped anew", figure(moved / seconds), "per second"),
        ("questions to OpenBao meanwhile", f"{asked}", "in all"),
        ("times that progress was told", f"{len(told)}", "in all"),
    ]


def _calls(manager: KeyManager) -> int:
    if not isinstance(manager, GuardedKeyManager):
        raise TypeError("the guard is what counts")
    return manager.calls


def _cpu(act: Callable[[], object], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - begun) / times * 1e6
