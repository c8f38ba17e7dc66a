"""The package for an audit: the entries of a period, with proofs and what it takes to check them.

A stranger needs no access to the server, its keys or its PHI. The files come one after the
other, in one order, and the last is a manifest of all others; memory holds a piece of entries,
some tiles, and the name and digest of each file.

Documentation is made available to those responsible for the procedures it is about (45 CFR
164.316(b)(2)(ii)), and audit controls record and examine activity (45 CFR 164.312(b)): law. That a
package is there within 48 hours is what buyers ask for: practice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.export_audit import ExportAudit
from seawall.app.prove_entries import ProveEntries
from seawall.app.published_files import files_of
from seawall.app.read_ledger import ReadLedger
from seawall.core.audit.lines import fhir_lines, json_line
from seawall.core.errors import Invalid
from seawall.core.ledger.facets import moment_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from seawall.app.ports import Clock, Head, Query, Store

HOURS: Final = 48
"""Within so many hours buyers ask for a package: practice, not law."""

MOST_PROOFS: Final = 10_000
"""Up to so many entries have a proof of their own; more are proved by the whole log."""

MOST_FILES: Final = 400_000
"""A package has no more files, so that the auditor's program can bound its manifest (64 MiB)."""

FORM: Final = 1
"""The version of the manifest's form."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be produced, who asked for it, and which entry recorded that."""

    log: str
    query: Query
    """The period, and the patient if one is named."""
    size: int
    """The log's size that was recorded: what came later is not in the package."""
    made_by: str
    reading: int
    whole_log: bool = False
    """Whether a copy of the whole log is wanted beside the entries."""

    @property
    def patient(self) -> str | None:
        """The ledger id of the patient whom it is about, if it is about one."""
        return dict(self.query.facets).get("patient")


@dataclass(frozen=True, slots=True)
class _Plan:
    order: Order
    head: Head
    indexes: Sequence[int]
    most_proofs: int

    @property
    def has_proofs(self) -> bool:
        """Whether each entry has a proof of its own."""
        return len(self.indexes) <= self.most_proofs or self.order.patient is not None

    @property
    def has_log(self) -> bool:
        """Whether the whole log is there: never where it is about one patient alone."""
        wanted = self.order.whole_log or not self.has_proofs
        return wanted and self.order.patient is None

    @property
    def files(self) -> int:
        """Return how many files there will be, about: those that grow with the log."""
        proofs = len(self.indexes) if self.has_proofs else 0
        # A bundle and a tile for 256 entries, and a tile above for 256 of these.
        return proofs + (self.head.size // 127 if self.has_log else 0)


class ProduceAudit:
    """Makes packages of a store's logs; `verifier` is the source of the auditor's program."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        verifier: Mapping[str, bytes],
        most_proofs: int = MOST_PROOFS,
        most_files: int = MOST_FILES,
    ) -> None:
        self._store = store
        self._most_proofs = most_proofs
        self._most_files = most_files
        self._clock = clock
        self._verifier = verifier
        self._export = ExportAudit(store)

    async def package(self, order: Order) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the package: relative path and content, a large file's in pieces in a row.

        `Invalid`, before anything, where it would have more files than a manifest may name.
        """
        begun = self._clock.monotonic()
        head = await self._store.head(order.log)
        found = await self._export.found(order.log, order.query, order.size)
        plan = _Plan(order, head, found, self._most_proofs)
        if plan.files > self._most_files:
            raise Invalid(
                "package-too-large",
                "the package would have more files than its manifest may name",
                "ask for a shorter period, or hand out the whole log: seawall ledger export",
            )
        files: dict[str, Any] = {}
        events = 0
        async for name, content in self._files(plan):
            digest, size = files.get(name, (hashlib.sha256(), 0))
            digest.update(content)
            files[name] = digest, size + len(content)
            if name == _EVENTS:
                events += content.count(b"\n")
            yield name, content
        took = self._clock.monotonic() - begun
        yield "manifest.json", self._manifest(plan, files, events, took)

    async def _files(self, plan: _Plan) -> AsyncIterator[tuple[str, bytes]]:
        order, head = plan.order, plan.head
        yield "README.txt", _readme(plan).encode()
        yield "vkey", f"{head.vkey}\n".encode()
        for name in (_ENTRIES, _EVENTS):
            async for content in self._lines(plan, name):
                yield name, content
        last = plan.indexes[-1] + 1 if plan.indexes else 1
        proving = await ProveEntries.covering(self._store, head, last)
        yield "checkpoint", proving.checkpoint.encode()
        if plan.has_proofs:
            for index in plan.indexes:
                proof = await proving.proof(index)
                yield f"proofs/{index}.tlog-proof", proof.encode()
        async for name, content in self._published(plan, last):
            yield name, content
        if plan.has_log:
            async for name, content in ReadLedger(self._store).export(order.log):
                yield f"log/{name}", content
        for name, source in sorted(self._verifier.items()):
            yield f"verifier/{name}", source

    async def _lines(self, plan: _Plan, name: str) -> AsyncIterator[bytes]:
        order, origin = plan.order, plan.head.origin
        yield b""  # the file is there also where nothing was found
        async for piece in self._export.entries(order.log, plan.indexes):
            for index, raw in piece:
                if name == _EVENTS:
                    yield fhir_lines(origin, index, raw, order.patient)
                else:
                    yield json_line(origin, index, raw)

    async def _published(self, plan: _Plan, last: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the earliest published checkpoint that covers the entries, and the newest."""
        log, size = plan.order.log, plan.head.size
        first = await self._store.published(log, above=last - 1, limit=1)
        newest = await self._store.last_published(log, size)
        found = {one.size: one for one in (*first, newest) if one is not None}
        for one in found.values():
            if last <= one.size <= size:
                for file in files_of(one):
                    yield file

    def _manifest(
        self, plan: _Plan, files: Mapping[str, Any], events: int, seconds: float
    ) -> bytes:
        order, head = plan.order, plan.head
        said: dict[str, Any] = {
            "v": FORM,
            "log": head.origin,
            "vkey": head.vkey,
            "size": order.size,
            "period": _period(order.query),
            "entries": len(plan.indexes),
            "audit_events": events,
            "proofs": len(plan.indexes) if plan.has_proofs else 0,
            "whole_log": plan.has_log,
            "made_at": moment_text(self._clock.now_ms()),
            "made_by": order.made_by,
            "recorded_as": order.reading,
            "seconds": round(seconds, 3),
            "files": {
                name: {"bytes": size, "sha256": digest.hexdigest()}
                for name, (digest, size) in sorted(files.items())
            },
        }
        if order.patient is not None:
            said["patient"] = order.patient
        if head.minimum:
            said["pruned_below"] = head.minimum
        return json.dumps(said, indent=2, sort_keys=True).encode() + b"\n"


_ENTRIES: Final = "entries.jsonl"
_EVENTS: Final = "fhir/audit-events.ndjson"


def _period(query: Query) -> dict[str, str]:
    moments = {"from": query.since_ms, "to": query.until_ms}
    return {name: moment_text(at) for name, at in moments.items() if at is not None}


def _readme(plan: _Plan) -> str:
    """Return the words for whoever opens the package."""
    order, period = plan.order, _period(plan.order.query)
    about = (
        "all patients" if order.patient is None else f"the patient with ledger id {order.patient}"
    )
    commands = ["python -B verifier/package.py ."]
    if plan.has_log:
        commands.append("python -B verifier log")
    commands.append(f"python -B verifier/package.py . --vkey '{plan.head.vkey}'")
    lines = [f"  {number}. {command}" for number, command in enumerate(commands, 1)]
    log = (
        "  log/                      a copy of the whole log (C2SP tlog-tiles)\n"
        if plan.has_log
        else ""
    )
    proofs = (
        "  proofs/N.tlog-proof       that entry N is in the signed log (C2SP tlog-proof)\n"
        if plan.has_proofs
        else ""
    )
    pruned = (
        f"Entries below {plan.head.minimum} are no longer online and are not in this package: the "
        "archives have them.\n\n"
        if plan.head.minimum
        else ""
    )
    return (
        "PACKAGE FOR AN AUDIT\n\n"
        f"{len(plan.indexes)} entries of the log {plan.head.origin}\n"
        f"from {period.get('from', 'its beginning')} to before {period.get('to', 'its end')}, "
        f"about {about}.\n\n{pruned}"
        "To verify it you need Python 3.11 or later and its package `cryptography`, and neither\n"
        "the server nor its keys. In this folder:\n\n" + "\n".join(lines) + "\n\n"
        "The first checks every file against manifest.json, every entry against its proof or the\n"
        "copy of the log, and place, time, action and patient of every audit event against its\n"
        "entry. The last does so with the log's key that you got from the operator by another way\n"
        "than this package: put it in place of the key above. Only then you know whose log it is.\n"
        "Exit status 0 means verified.\n\n"
        "A program that lies in the package is the word of whoever made the package. Where you do\n"
        "not trust them, take the folder src/seawall/verifier of a release of Seawall, and run\n"
        "that in place of verifier/ here. -B keeps Python from writing compiled code into it.\n\n"
        "  manifest.json             every file with its SHA-256, counts, period, who, when\n"
        "  entries.jsonl             the entries, a line each, as they were recorded\n"
        "  fhir/audit-events.ndjson  the same as FHIR R4 AuditEvents (IHE BALP)\n"
        f"{proofs}"
        "  checkpoint, published/    signed checkpoints, with cosignatures and time stamps\n"
        "  vkey                      the log's verifier key, as the server says it is\n"
        f"{log}"
        "  verifier/                 the programs above, for you to read\n\n"
        "It holds no PHI, and is handled as PHI all the same: random ids with times of care are\n"
        "about patients. An entry that concerns several patients names all of them by their ids,\n"
        "because it could not be verified otherwise.\n\n"
        "What it shows: each entry is the one that the log's key signed. What it does not show:\n"
        "that every use of PHI was recorded.\n"
    )
