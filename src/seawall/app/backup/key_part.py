"""The key part of a backup: per tenant, what opens its data and finds its patients.

It lies apart from the data, and only the newest is kept. It is sealed under the
tenant's own newest key, which lies beside it wrapped under a root key: when that
version of the root key is destroyed, every older copy dies with it. A tenant with
many patients has several files, so that none is held whole while it is made.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.app.ports import TenantKey
from seawall.core.backup.rows import Rows, decode_rows, encode_rows, malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seawall.app.ports import Dump, DumpedTable, KeyKeeper

    Piece = list[tuple[DumpedTable, list[Any]]]
    """Rows of the key tables that make one file; the tenant keys are in the first."""

TENANT_KEYS: Final = "tenant_keys"
PIECE: Final = 1 << 22
"""About so many bytes of rows make a file."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A file of one tenant's: rows of tenant keys, and the rest sealed under one of them."""

    tenant: str
    tenant_keys: bytes
    """Rows, as a chunk has them; each is wrapped by the key manager."""
    key: TenantKey | None
    """What opens the rest; None for a tenant that was shredded and has no rest."""
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        key: dict[str, Any] | None = None
        if self.key is not None:
            key = {**asdict(self.key), "wrapped": _text(self.key.wrapped)}
        return orjson.dumps(
            {
                "tenant": self.tenant,
                "tenant_keys": _text(self.tenant_keys),
                "key": key,
                "sealed": _text(self.sealed),
            }
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> KeyPart:
        """Read it; `Tampered` if it is none."""
        try:
            told = orjson.loads(raw)
            key = told["key"]
            if key is not None:
                key = TenantKey(**{**key, "wrapped": base64.b64decode(key["wrapped"])})
            return cls(
                told["tenant"],
                base64.b64decode(told["tenant_keys"]),
                key,
                base64.b64decode(told["sealed"]),
            )
        except (ValueError, KeyError, TypeError):
            raise malformed() from None


def key_pieces(dump: Dump, tenant: str, most: int = PIECE) -> Iterator[Piece]:
    """Yield a tenant's rows of the key tables, as much as makes a file at a time."""
    tables = dump.key_tables()
    own = next(table for table in tables if table.shape.table == TENANT_KEYS)
    rows: list[Any] = [row for batch in dump.rows(own, tenant) for row in batch]
    piece, size, is_any = [(own, rows)], 0, bool(rows)
    for table in tables:
        if table is own:
            continue
        rows = []
        piece.append((table, rows))
        for batch in dump.rows(table, tenant):
            for row in batch:
                rows.append(row)
                size += 16 + sum(len(value) for value in row if isinstance(value, str | bytes))
                if size >= most:
                    yield piece
                    rows, size, is_any = [], 0, False
                    piece = [(own, []), (table, rows)]
            is_any = is_any or bool(rows)
    if is_any:
        yield piece


def merged(parts: Iterable[Rows]) -> list[Rows]:
    """Return the rows of all files of a tenant, those of a table together."""
    found: dict[str, Rows] = {}
    for part in parts:
        known = found.setdefault(part.shape.table, Rows(part.shape, []))
        if known.shape != part.shape:
            raise malformed()
        known.rows.extend(part.rows)
    return list(found.values())


async def make_key_part(
    tenant: str, tables: Sequence[tuple[DumpedTable, list[Any]]], keeper: KeyKeeper
) -> KeyPart:
    """Seal a tenant's rows of the key tables; of a shredded tenant only the mark is left."""
    own = next((table, rows) for table, rows in tables if table.shape.table == TENANT_KEYS)
    tenant_keys = encode_rows(own[0].shape, own[1])
    column = [name for name, _ in own[0].shape.columns].index("wrapped")
    if own[1] and not all(row[column] for row in own[1]):
        return KeyPart(tenant, tenant_keys, None, b"")
    rest = [
        encode_rows(table.shape, rows) for table, rows in tables if table.shape.table != TENANT_KEYS
    ]
    key, sealed = await keeper.seal_key_part(tenant, _joined(rest))
    return KeyPart(tenant, tenant_keys, key, sealed)


async def open_key_part(part: KeyPart, keeper: KeyKeeper) -> list[Rows]:
    """Return a tenant's rows of all key tables; errors are the key manager's, and `Tampered`."""
    rows = [decode_rows(part.tenant_keys)]
    if part.key is not None:
        rows += [
            decode_rows(raw) for raw in _parted(await keeper.open_key_part(part.key, part.sealed))
        ]
    return rows


def _joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _parted(raw: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(raw):
        end = at + 8 + int.from_bytes(raw[at : at + 8], "big")
        if end > len(raw):
            raise malformed()
        parts.append(raw[at + 8 : end])
        at = end
    return parts


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
