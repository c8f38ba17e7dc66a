"""CPU per exchange: the bare floor, Seawall without masking, with it, and in a conversation.

Every server is a process of its own and speaks TLS on both sides; rounds take
turns over all cases, so that a busy moment of the machine hits all alike.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import clinic as clinics
from benchmarks.clinic import Clinic, furnish, new_installation, question
from benchmarks.processes import Process, module, seawall
from benchmarks.table import Table, figure, say
from benchmarks.upstream import CHUNKS
from benchmarks.wire import post, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.effort import Effort
    from benchmarks.wire import Reading

CLIENTS: Final = 16
AIM_MS: Final = 5.0
"""CPU that a masked exchange on a 2 KB prompt may cost."""

_PATH: Final = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured: where it is sent, under which use case, and how."""

    title: str
    server: str
    use_case: str = ""
    is_stream: bool = False
    has_conversation: bool = False


CASES: Final = (
    Case("(a) floor: uvicorn + Starlette + aiohttp", "floor"),
    Case("(b) Seawall, nothing masked", "seawall", clinics.OPEN),
    Case("(c) Seawall, masked", "seawall", clinics.MASKED),
    Case(
        "(d) Seawall, masked, in a conversation", "seawall", clinics.MASKED, has_conversation=True
    ),
    Case(f"(a) floor, stream of {CHUNKS} chunks", "floor", is_stream=True),
    Case(f"(b) stream of {CHUNKS} chunks, nothing masked", "seawall", clinics.OPEN, is_stream=True),
    Case(f"(c) stream of {CHUNKS} chunks, masked", "seawall", clinics.MASKED, is_stream=True),
)


@dataclass(slots=True)
class _Readings:
    """What was measured of one case."""

    alone: list[Reading] = field(default_factory=list)
    together: list[Reading] = field(default_factory=list)
    resident_mib: float = 0.0


def measure(effort: Effort) -> Table:
    """Return the table of exchanges."""
    with _servers() as (clinic, servers):
        readings = asyncio.run(_measure(effort, clinic, servers))
    floors = {
        case.is_stream: median(reading.cpu_ms for reading in readings[case].alone)
        for case in CASES
        if case.server == "floor"
    }
    return Table(
        f"Exchanges: a prompt of {clinics.PROMPT_BYTES:,} bytes about a named patient, "
        "TLS on both sides",
        (
            "exchange",
            "CPU ms",
            "x floor",
            "per second",
            f"CPU ms, {CLIENTS} clients",
            f"per second, {CLIENTS} clients",
            "entries",
            "resident MiB",
        ),
        [_row(case, readings[case], floors[case.is_stream]) for case in CASES],
        (
            f"CPU of the serving process, user and system; median of {effort.rounds} rounds.",
            f"Aim: at most {AIM_MS} ms for (c).",
        ),
    )


def _row(case: Case, readings: _Readings, floor: float) -> tuple[str, ...]:
    cpu = median(reading.cpu_ms for reading in readings.alone)
    exchanges = sum(reading.exchanges for reading in readings.alone)
    return (
        case.title,
        figure(cpu),
        figure(cpu / floor),
        figure(median(reading.per_second for reading in readings.alone)),
        figure(median(reading.cpu_ms for reading in readings.together)),
        figure(median(reading.per_second for reading in readings.together)),
        f"{sum(reading.entries for reading in readings.alone) / exchanges:.1f}",
        figure(readings.resident_mib),
    )


@contextmanager
def _servers() -> Iterator[tuple[Clinic, dict[str, Process]]]:
    """Prepare a folder, and run the model, the floor and Seawall."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        say("exchanges: preparing a data folder, and starting model, floor and Seawall")
        folder = Path(place) / "data"
        installation = new_installation(folder)
        certificate = installation.certificate()
        files = ["--certificate", str(certificate.certificate), "--key", str(certificate.key)]
        with module("upstream", files, certificate.password) as upstream:
            url = f"https://127.0.0.1:{upstream.port}/v1"
            clinic = asyncio.run(furnish(installation, url))
            through = [*files, "--authority", str(clinic.authority), "--upstream", url]
            with (
                module("floor", through, certificate.password) as floor,
                seawall(folder, clinics.PASSPHRASE) as serving,
            ):
                yield clinic, {"floor": floor, "seawall": serving}


async def _measure(
    effort: Effort, clinic: Clinic, servers: dict[str, Process]
) -> dict[Case, _Readings]:
    readings: dict[Case, _Readings] = defaultdict(_Readings)
    for number in range(effort.rounds + 1):
        say(f"exchanges: round {number} of {effort.rounds}" if number else "exchanges: warming up")
        # Anew for each round, since a token lives ten minutes.
        token = await clinic.token(servers["seawall"].port)
        for case in CASES:
            server = servers[case.server]
            requests = [_request(case, clinic, token, client) for client in range(CLIENTS)]
            each = effort.streams if case.is_stream else effort.exchanges
            alone = await run(server, requests[:1], clinic.authority, each)
            together = await run(server, requests, clinic.authority, max(1, each * 2 // CLIENTS))
            if number:
                readings[case].alone.append(alone)
                readings[case].together.append(together)
                readings[case].resident_mib = server.resident_mib()
    return readings


def _request(case: Case, clinic: Clinic, token: str, client: int) -> bytes:
    headers = {"Authorization": f"Bearer {token}"}
    if case.use_case:
        headers["Seawall-Use-Case"] = case.use_case
    if case.use_case == clinics.MASKED:
        headers["Seawall-Patient"] = clinic.patient.reference
    if case.has_conversation:
        headers["Seawall-Conversation"] = f"conversation-{client}"
    return post(_PATH, question(clinic.patient, stream=case.is_stream), headers)
