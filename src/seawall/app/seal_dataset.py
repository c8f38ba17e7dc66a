"""Training data sets at rest: rows become one sealed file, and open only by an entry.

Sealing makes a key-encryption key for the footer and for each column, and seals each through
the key ring under the data set's own subject, `dataset/NAME`; what is kept beside the entry is
a sealed record of the file, by which no other file passes for it, and one of which file is the
newest of its name, by which no older one does. Opening is recorded before anything opens, and
opens the keys of the columns that were asked for and no other; how it ended is recorded too.
45 CFR 164.312(a)(2)(iv), 164.312(c)(1), 164.502(b).
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import FOOTER_KEY, DatasetKey, KeepSealed, column_key
from seawall.core.errors import Error, Invalid, Missing, Refused, Tampered
from seawall.core.ledger.encoding import decode, encode
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.purpose import HL7_CODES, PARAGRAPHS
from seawall.core.registers.spec import NAME_PATTERN
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seawall.app.ports import (
        Clock,
        Datasets,
        KeyRing,
        Ledger,
        Notifier,
        OpenDataset,
        Random,
        Rows,
        SealedFile,
        SealingDataset,
        Store,
    )
    from seawall.app.step_up import Proof, StepUp
    from seawall.core.policy.principal import Principal
    from seawall.core.policy.purpose import Purpose
    from seawall.core.seal.envelope import Sealed

DATASET_KEY: Final = "dataset.key"
"""The kind of the key-encryption keys, which lie in the file."""
DATASET_RECORD: Final = "dataset.record"
"""The kind of what is known of a file, which is kept beside its entry."""
DATASET_NEWEST: Final = "dataset.newest"
"""The kind of what says which file was sealed last under a data set's name."""

_SUBJECT: Final = "dataset/"
_COLUMNS: Final = "dataset.columns"
_FILE: Final = re.compile(r"[0-9a-f]{24}")
_GRANT_MS: Final = 600_000
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SealedDataset:
    """A data set as it was sealed, and the entry that recorded it."""

    name: str
    file: str
    """The file's random id."""
    columns: int
    written: SealedFile
    entry: int


@dataclass(frozen=True, slots=True)
class OpenedDataset:
    """A data set as it was opened, and the entry that recorded it beforehand."""

    name: str
    file: str
    columns: tuple[str, ...]
    rows: int
    entry: int


@dataclass(frozen=True, slots=True)
class DescribedDataset:
    """What anybody can read of a sealed file; nothing of it is verified before it opens."""

    tenant: str
    name: str
    file: str
    columns: int
    size: int
    digest: str


def subject_of(name: str) -> str:
    """Return the subject that a data set's keys belong to: what is shredded with it."""
    return f"{_SUBJECT}{name}"


def describe(held: OpenDataset) -> DescribedDataset:
    """Return what a sealed file says of itself.

    `Tampered` unless all its keys are of one tenant, one data set and one file, and there is
    one for the footer and for each column: keys of several files make no data set.
    """
    keys = held.sealed_keys
    count = len(keys) - 1
    names = {FOOTER_KEY, *(column_key(position) for position in range(count))}
    footer = keys.get(FOOTER_KEY)
    if footer is None or set(keys) != names:
        raise _mixed()
    place = footer.context
    file, name = place.item.partition(".")[0], place.subject.removeprefix(_SUBJECT)
    is_named = place.subject.startswith(_SUBJECT) and re.fullmatch(NAME_PATTERN, name)
    if not is_named or not _FILE.fullmatch(file):
        raise _mixed()
    for each, sealed in keys.items():
        if sealed.context != _context(place.tenant, name, file, each):
            raise _mixed()
    return DescribedDataset(place.tenant, name, file, count, held.size, held.digest)


class SealDataset:
    """Seals and opens the data sets of one installation."""

    def __init__(
        self,
        *,
        datasets: Datasets,
        ledger: Ledger,
        store: Store,
        keys: KeyRing,
        step_up: StepUp,
        notifier: Notifier,
        clock: Clock,
        random: Random,
    ) -> None:
        self._step_up = step_up
        self._datasets = datasets
        self._ledger = ledger
        self._store = store
        self._keys = keys
        self._notifier = notifier
        self._clock = clock
        self._random = random

    async def seal(
        self, principal: Principal, name: str, source: Rows, target: Path
    ) -> SealedDataset:
        """Seal rows into a new file, verified by reading it back; record it, then place it.

        The file has its name only if its entry is durable.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise Invalid(
                "dataset-name",
                "this cannot be a data set's name",
                "use lower-case letters, digits, '.', '_' and '-', at most 63 characters",
            )
        tenant, file = principal.tenant, self._random.bytes(12).hex()
        async with self._datasets.sealing(source, target) as making:
            keys = await self._new_keys(tenant, name, file, making)
            written = await making.write(file, keys)
            record = await self._keys.seal(
                encode({"file": written.digest, "rows": written.rows, "size": written.size}),
                Context(tenant, DATASET_RECORD, subject_of(name), file),
            )
            newest = await self._keys.seal(
                encode({"item": file}), Context(tenant, DATASET_NEWEST, subject_of(name), name)
            )
            receipt = await self._ledger.append(
                tenant,
                entry(
                    "dataset.seal",
                    principal,
                    self._clock,
                    dataset=name,
                    item=file,
                    rows=written.rows,
                    columns=len(making.columns),
                    schema=await self._digest_of(tenant, making.columns),
                    size=written.size,
                    file=written.digest,
                    record=record.digest(),
                    newest=newest.digest(),
                ),
                [KeepSealed(record), KeepSealed(newest)],
            )
            await making.place()
        return SealedDataset(name, file, len(making.columns), written, receipt.index)

    async def _new_keys(
        self, tenant: str, name: str, file: str, making: SealingDataset
    ) -> dict[str, DatasetKey]:
        made = {}
        for each in (FOOTER_KEY, *map(column_key, range(len(making.columns)))):
            key = self._random.bytes(_KEY_BYTES)
            made[each] = DatasetKey(
                key, await self._keys.seal(key, _context(tenant, name, file, each))
            )
        return made

    async def open(
        self,
        caller: Principal,
        proof: Proof | None,
        purpose: Purpose,
        path: Path,
        to: Rows,
        *,
        columns: Sequence[str] | None = None,
        expected: str | None = None,
        file: str | None = None,
    ) -> OpenedDataset:
        """Open a data set, or some of its columns, into rows in the clear.

        An operator shows a second factor, and the act is recorded in that operator's name
        before anything opens; what can be looked at without a key is looked at before both.
        `Refused` (`dataset-foreign`) if it is another tenant's, (`dataset-another`) if it is
        not the one that is `expected`, or not the `file` that is asked for by its id,
        (`dataset-older`) if it is not the newest of its name and is not asked for so;
        `Missing` (`dataset-unknown`) if this installation has no record of it; `Tampered` if
        it is not the file that was recorded, which alarms.
        """
        async with self._datasets.opening(path) as held:
            described = describe(held)
            _check_meant(described, caller.tenant, expected, file)
            _check_columns(columns)
            await self._datasets.check_free(to)
            await self._recorded(described)
            principal = await self._operator(caller, proof)
            asked = _Asked(purpose, columns, by_id=file is not None)
            grant, index = await self._record(principal, described, asked)
            try:
                names, rows = await self._opened(held, described, grant, asked, to)
            except Error as error:
                if isinstance(error, Tampered):
                    error.entry = index
                    self._notifier.alarm(error.code, principal.tenant, index)
                # That it may be opened is recorded; why it was not is what must be told.
                with suppress(Error):
                    await self._end(principal, described, index, outcome="failed", code=error.code)
                raise
            await self._end(principal, described, index, outcome="opened", rows=rows)
        return OpenedDataset(described.name, described.file, names, rows, index)

    async def _operator(self, caller: Principal, proof: Proof | None) -> Principal:
        """Return the operator who is shown: having a shell is not having a role."""
        if proof is None:
            raise Refused(
                "step-up-needed",
                "this opens PHI, and needs an operator's second factor",
                "give --operator and --code; `seawall keys enrol NAME` makes an operator",
            )
        return await self._step_up.require(caller, proof)

    async def _opened(
        self,
        held: OpenDataset,
        described: DescribedDataset,
        grant: Grant,
        asked: _Asked,
        to: Rows,
    ) -> tuple[tuple[str, ...], int]:
        await self._check_record(described, grant)
        if not asked.by_id:
            await self._check_newest(described, grant)
        footer = await self._keys.open(held.sealed_keys[FOOTER_KEY], grant)
        names = await held.columns(described.file, footer)
        if len(names) != described.columns:
            raise _mixed()
        positions = _positions(names, asked.columns)
        keys = {FOOTER_KEY: footer}
        for each in map(column_key, positions):
            keys[each] = await self._keys.open(held.sealed_keys[each], grant)
        rows = await held.write(keys, positions, to)
        return tuple(names[position] for position in positions), rows

    async def _recorded(self, described: DescribedDataset) -> Sealed:
        """Return the sealed record of a file; `Missing` if there is none."""
        record = await self._store.sealed(described.tenant, DATASET_RECORD, described.file)
        if record is None:
            raise Missing(
                "dataset-unknown",
                "this installation has no record of sealing this file",
                "open it where it was sealed; after a shredding it opens nowhere",
            )
        return record

    async def _check_record(self, described: DescribedDataset, grant: Grant) -> None:
        """Raise unless this is the very file that was recorded when it was sealed."""
        record = await self._recorded(described)
        known = decode(await self._keys.open(record, grant))
        same_place = record.context.subject == subject_of(described.name)
        if not same_place or known.get("file") != described.digest:
            raise Tampered(
                "dataset-tampered",
                "the file is not the one that was sealed under this name",
                "restore the file from a backup, and treat the change as an incident",
            )

    async def _check_newest(self, described: DescribedDataset, grant: Grant) -> None:
        """Raise unless no file was sealed later under this name; not to know counts as one."""
        newest = await self._store.sealed(described.tenant, DATASET_NEWEST, described.name)
        known = {} if newest is None else decode(await self._keys.open(newest, grant))
        if known.get("item") != described.file:
            raise Refused(
                "dataset-older",
                "this file is not the one that was sealed last under its name",
                "open the newest; if this older one is meant, name it with --file and the item "
                "that `seawall dataset show` tells",
            )

    async def _record(
        self, principal: Principal, described: DescribedDataset, asked: _Asked
    ) -> tuple[Grant, int]:
        purpose = asked.purpose
        receipt = await self._ledger.append(
            principal.tenant,
            entry(
                "dataset.open",
                principal,
                self._clock,
                dataset=described.name,
                item=described.file,
                file=described.digest,
                columns=described.columns,
                decision={
                    "allowed": True,
                    "documents": [],
                    "purpose": {"name": purpose.value, "hl7": HL7_CODES[purpose]},
                    "reasons": [f"purpose {purpose} under {PARAGRAPHS[purpose]}"],
                },
                grant=terms(
                    kinds=(DATASET_KEY, DATASET_NEWEST, DATASET_RECORD),
                    subjects=(subject_of(described.name),),
                    until_ms=self._clock.now_ms() + _GRANT_MS,
                ),
                **await self._said(principal.tenant, asked),
            ),
        )
        return Grant(receipt), receipt.index

    async def _said(self, tenant: str, asked: _Asked) -> dict[str, Any]:
        """Return what an entry says of what was asked for; no name of a column is in it."""
        by_id = {"by_id": True} if asked.by_id else {}
        if asked.columns is None:
            return {"opened": "all", **by_id}
        schema = await self._digest_of(tenant, asked.columns)
        return {"opened": "some", "asked": len(asked.columns), "schema": schema, **by_id}

    async def _end(
        self, principal: Principal, described: DescribedDataset, intent: int, **how: Any
    ) -> None:
        """Record how an opening ended; nothing does where the process was stopped."""
        said = {"dataset": described.name, "item": described.file, "intent": intent, **how}
        await self._ledger.append(
            principal.tenant, entry("dataset.opened", principal, self._clock, **said)
        )

    async def _digest_of(self, tenant: str, names: Sequence[str]) -> str:
        """Return a keyed digest of columns' names.

        What somebody called a column may say too much, and without a key it could be guessed.
        """
        [digest] = await self._keys.blind(tenant, [f"{_COLUMNS}\n{json.dumps(list(names))}"])
        return digest


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody wants of a data set."""

    purpose: Purpose
    columns: Sequence[str] | None
    by_id: bool
    """Whether the very file is named, so that an older one is meant too."""


def _context(tenant: str, name: str, file: str, key: str) -> Context:
    return Context(tenant, DATASET_KEY, subject_of(name), f"{file}.{key}")


def _check_columns(columns: Sequence[str] | None) -> None:
    """Raise unless all columns are asked for, or some, each of them once."""
    if columns is not None and (not columns or len(set(columns)) != len(columns)):
        raise _unclear()


def _positions(names: Sequence[str], columns: Sequence[str] | None) -> list[int]:
    """Return where the columns are that are asked for, in that order; all without a choice."""
    if columns is None:
        return list(range(len(names)))
    places = {name: position for position, name in enumerate(names)}
    found = []
    for number, column in enumerate(columns, 1):
        # Spaces around a name count only if a column has them.
        place = places.get(column, places.get(column.strip()))
        if place is None:
            raise Missing(
                "column-missing",
                f"the data set has no column of the name that --columns says at place {number}",
                "correct it; names are as they were sealed, capital letters included",
            )
        found.append(place)
    if len(set(found)) != len(found):
        raise _unclear()
    return found


def _check_meant(
    described: DescribedDataset, tenant: str, expected: str | None, file: str | None
) -> None:
    if described.tenant != tenant:
        raise Refused(
            "dataset-foreign",
            "this data set is sealed for another tenant",
            "name its tenant with --tenant; `seawall dataset show` tells which",
        )
    if expected is not None and described.name != expected:
        raise Refused(
            "dataset-another",
            "this file is sealed under another name than the one that was given",
            "`seawall dataset show` tells its name",
        )
    if file is not None and described.file != file:
        raise Refused(
            "dataset-another",
            "this file has another id than the one that was given",
            "`seawall dataset show` tells its id, as item",
        )


def _unclear() -> Invalid:
    return Invalid(
        "columns-unclear", "no column is asked for, or one twice", "name each column once"
    )


def _mixed() -> Tampered:
    return Tampered(
        "dataset-tampered",
        "the keys in the file are not those of one data set",
        "restore the file from a backup, and treat the change as an incident",
    )
