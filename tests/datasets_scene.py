"""A practice that seals data sets: intents over fakes, files by the real adapter."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fake_keys import MemoryKeyRing
from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.adapters.datasets.parquet import ParquetDatasets
from seawall.app.ports import FOOTER_KEY, DatasetKey, Rows, column_key
from seawall.app.seal_dataset import OpenedDataset, SealDataset, SealedDataset
from seawall.app.step_up import Proof
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.seal.envelope import Context, seal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from seawall.app.ports import RowsForm, SealingDataset

TENANT: Final = "riverside"
PRINCIPAL: Final = Principal("operator", "operator", TENANT)
PROOF: Final = Proof("ada", "123456")
FILE: Final = "0123456789abcdef01234567"
ROWS: Final = (
    {"mrn": "00417", "name": "Zoë Harrowgate-Pell", "age": 71, "note": "seen by Dr Quillfeather"},
    {"mrn": "00418", "name": "Ambrose Tindleworth", "age": 8, "note": None},
)
"""Rows with planted identifiers."""


def csv_file(folder: Path, name: str = "rows.csv") -> Path:
    """Write the rows as CSV."""
    path = folder / name
    lines = ["mrn,name,age,note"]
    lines += [f"{row['mrn']},{row['name']},{row['age']},{row['note'] or ''}" for row in ROWS]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ndjson_file(folder: Path, *rows: Mapping[str, Any]) -> Path:
    """Write rows as NDJSON; those with planted identifiers unless others are given."""
    path = folder / "rows.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS), encoding="utf-8")
    return path


def parquet_file(folder: Path, table: Any, **options: Any) -> Path:
    """Write a table as Parquet."""
    path = folder / "rows.parquet"
    pq.write_table(table, path, **options)
    return path


def read_ndjson(path: Path) -> list[dict[str, Any]]:
    """Read rows."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class OneCode:
    """The StepUp protocol with one operator, whose code never changes; it counts the tries."""

    tries = 0

    async def require(self, caller: Principal, proof: Proof | None) -> Principal:
        """Return the operator, or refuse."""
        self.tries += 1
        if proof is None or (proof.operator, proof.code) != ("ada", "123456"):
            raise Refused("step-up-failed", "this was not accepted", "try again")
        return Principal("operator", proof.operator, caller.tenant)


@dataclass
class Practice:
    """Everything that seals and opens, in memory but for the files."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    random: FakeRandom = field(default_factory=FakeRandom)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    notifier: RecordingNotifier = field(default_factory=RecordingNotifier)

    def __post_init__(self) -> None:
        self.keys = MemoryKeyRing(self.clock, self.random)
        self.store = MemoryStore(self.ledger)
        self.step_up = OneCode()
        self.intent = SealDataset(
            datasets=ParquetDatasets(self.random),
            ledger=self.ledger,
            store=self.store,
            keys=self.keys,
            step_up=self.step_up,
            notifier=self.notifier,
            clock=self.clock,
            random=self.random,
        )

    async def begin(self, *tenants: str) -> Practice:
        """Begin tenants."""
        for tenant in tenants or (TENANT,):
            await self.keys.prepare(tenant)
            await self.ledger.open_log(tenant, f"localhost/log/{tenant}")
        return self

    async def seal(
        self, source: Path, name: str = "visits", *, form: RowsForm = "ndjson", to: str = "sealed"
    ) -> SealedDataset:
        """Seal a file of rows."""
        target = self.folder / f"{to}.parquet"
        return await self.intent.seal(PRINCIPAL, name, Rows(source, form), target)

    async def open(
        self,
        *columns: str,
        file: str = "sealed",
        to: str = "out.ndjson",
        form: RowsForm = "ndjson",
        expected: str | None = None,
        principal: Principal = PRINCIPAL,
        proof: Proof | None = PROOF,
        item: str | None = None,
    ) -> OpenedDataset:
        """Open a sealed file into another."""
        return await self.intent.open(
            principal,
            proof,
            Purpose.RESEARCH,
            self.folder / f"{file}.parquet",
            Rows(self.folder / to, form),
            columns=columns or None,
            expected=expected,
            file=item,
        )

    @property
    def sealed(self) -> Path:
        """The sealed file."""
        return self.folder / "sealed.parquet"

    def entries(self, action: str) -> list[dict[str, Any]]:
        """Return the entries of an action."""
        return [body for body in self.ledger.bodies(TENANT) if body["action"] == action]


# --- the adapter alone, under keys that a test knows ------------------------------


def known_keys(columns: int) -> dict[str, DatasetKey]:
    """Return keys that follow from their names."""
    made = {}
    for number, name in enumerate([FOOTER_KEY, *map(column_key, range(columns))]):
        key = bytes([number]) * 32
        context = Context(TENANT, "dataset.key", "dataset/visits", f"{FILE}.{name}")
        made[name] = DatasetKey(
            key,
            seal(key, key=key, key_id="k", key_version=1, nonce=bytes(12), context=context),
        )
    return made


def opening_keys(columns: int) -> dict[str, bytes]:
    """Return what opens what `known_keys` sealed."""
    return {name: key.key for name, key in known_keys(columns).items()}


@asynccontextmanager
async def begun(source: Path, form: RowsForm, target: Path) -> AsyncIterator[SealingDataset]:
    """Begin to seal a file by the adapter alone."""
    async with ParquetDatasets(FakeRandom()).sealing(Rows(source, form), target) as making:
        yield making


async def sealed_alone(source: Path, form: RowsForm, target: Path) -> int:
    """Seal a file by the adapter alone; return how many columns it has."""
    async with begun(source, form, target) as making:
        await making.write(FILE, known_keys(len(making.columns)))
        await making.place()
        return len(making.columns)


async def opened_alone(
    path: Path, keys: Mapping[str, bytes], columns: int, to: Rows, file: str = FILE
) -> int:
    """Open a file by the adapter alone; return how many rows it has."""
    async with ParquetDatasets(FakeRandom()).opening(path) as held:
        await held.columns(file, keys[FOOTER_KEY])
        return await held.write(keys, range(columns), to)


async def sealed_and_opened(folder: Path, table: Any) -> Any:
    """Seal a table and open it again, by the adapter alone."""
    columns = await sealed_alone(parquet_file(folder, table), "parquet", folder / "s.parquet")
    out = folder / "out.parquet"
    await opened_alone(folder / "s.parquet", opening_keys(columns), columns, Rows(out, "parquet"))
    return pq.ParquetFile(out).read().combine_chunks() if out.exists() else pa.table({})
