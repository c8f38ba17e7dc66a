"""What each write of the ports becomes in SQL, inside the sequencer's transaction."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlcipher3.dbapi2 as sqlcipher

from seawall.adapters.db.session_statements import OfSessions, OfTime, session_statements
from seawall.app.ports import (
    CloseExchange,
    DropDataKeys,
    DropTenantKeys,
    KeepArchived,
    KeepDocument,
    KeepFacets,
    KeepLease,
    KeepPatient,
    KeepPublished,
    KeepReference,
    KeepRewrapped,
    KeepSealed,
    KeepTenantKey,
    OpenExchange,
    ReplaceTenantKey,
    ReserveUses,
    ShredSubjects,
    ShredTenant,
    SpendAssertion,
)
from seawall.core.errors import Conflict, Refused
from seawall.core.ledger.tree import TILE_WIDTH
from seawall.core.registers.spec import canonical_spec
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.ports import Fact, TenantKey, WrappedKey, Write


OF_SUBJECTS: Final = (
    ("data_keys", "subject"),
    ("sealed", "subject"),
    ("payloads", "subject"),
    ("patients", "patient"),
)
"""Which tables hold what goes with a subject, and the column that names it."""
OF_TENANT: Final = ("data_keys", "sealed", "payloads", "patients")
"""Which tables hold what goes with a tenant."""


def apply_write(run: Callable[..., Any], write: Write) -> None:
    """Do one write; `Conflict` if it contradicts what is there."""
    _apply(write, run)


def keep_fact(run: Callable[..., Any], fact: Fact) -> None:
    """Keep one fact; doing it again changes nothing."""
    _keep(fact, run)


def prune(run: Callable[..., Any], log: str, minimum: int) -> None:
    """Move a log's minimum and delete what lies below; `Refused` where a trigger says no."""
    try:
        run("update heads set minimum = ? where log = ? and minimum < ?", (minimum, log, minimum))
    except sqlcipher.IntegrityError:
        raise Refused(
            "prune-refused",
            "the database keeps what two archives do not hold",
            "archive the log to two archives first: `seawall ledger archive`",
        ) from None
    run("delete from entries where log = ? and position < ?", (log, minimum))
    run(
        "delete from tiles where log = ? and level = 0 and position < ?",
        (log, minimum // TILE_WIDTH),
    )
    run("delete from facets where log = ? and position < ?", (log, minimum))


def keep_key(run: Callable[..., Any], key: WrappedKey) -> None:
    """Keep a data key unless one of its version exists; the first one wins.

    Nor is one kept whose tenant key is gone, which a slow process may still hold.
    """
    run(
        "insert into data_keys (key_id, tenant, subject, kind, version, tenant_key_version, "
        "wrapped, uses, made_ms) select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 where exists "
        "(select 1 from tenant_keys where tenant = ?2 and use = 'data' and version = ?6 "
        "and length(wrapped) > 0) on conflict do nothing",
        (
            key.key_id,
            key.tenant,
            key.subject,
            key.kind,
            key.version,
            key.tenant_key_version,
            key.wrapped,
            key.uses,
            key.made_ms,
        ),
    )


@singledispatch
def _apply(write: object, run: Callable[..., Any]) -> None:
    raise RuntimeError(f"{type(write).__name__} is not a write; {run!r} was not called")


@_apply.register
def _(write: KeepSealed, run: Any) -> None:
    context = write.sealed.context
    if write.replaces is not None:
        query = "select envelope from sealed where tenant = ? and kind = ? and item = ?"
        row = run(query, (context.tenant, context.kind, context.item)).fetchone()
        if (Sealed(row[0]).digest() if row else "") != write.replaces:
            raise Conflict(
                "sealed-changed",
                "what this would replace was replaced by someone else meanwhile",
                "read it again, and then change it",
            )
    run(
        "insert into sealed (tenant, kind, item, envelope, subject) values (?, ?, ?, ?, ?) "
        "on conflict (tenant, kind, item) "
        "do update set envelope = excluded.envelope, subject = excluded.subject",
        (context.tenant, context.kind, context.item, bytes(write.sealed), context.subject),
    )


@_apply.register
def _(write: KeepReference, run: Any) -> None:
    run(
        "insert into payloads (tenant, kind, item, subject, digest) values (?, ?, ?, ?, ?) "
        "on conflict (tenant, kind, item) "
        "do update set subject = excluded.subject, digest = excluded.digest",
        (write.tenant, write.kind, write.item, write.subject, write.digest),
    )


@_apply.register
def _(write: KeepDocument, run: Any) -> None:
    document = write.document
    try:
        run(
            "insert into documents values (?, ?, ?, ?, ?)",
            (
                write.tenant,
                document.kind,
                document.name,
                document.version,
                canonical_spec(document.spec),
            ),
        )
    except sqlcipher.IntegrityError:
        raise Conflict(
            "version-exists",
            f"{document.reference} was applied by someone else meanwhile",
            "apply again: it will become the next version",
        ) from None


@_apply.register
def _(write: KeepPatient, run: Any) -> None:
    run("delete from patients where tenant = ? and patient = ?", (write.tenant, write.patient))
    for term in write.terms:
        run(
            "insert into patients values (?, ?, ?) on conflict do nothing",
            (write.tenant, term, write.patient),
        )


@_apply.register
def _(write: SpendAssertion, run: Any) -> None:
    try:
        run("insert into assertions values (?, ?)", (write.digest, write.until_ms))
    except sqlcipher.IntegrityError:
        raise Conflict(
            "assertion-reused",
            "this assertion was used before",
            "sign a new assertion, with its own jti, for each token",
        ) from None


@_apply.register
def _(write: OpenExchange, run: Any) -> None:
    try:
        run(
            "insert into open_exchanges values (?, ?, ?)",
            (write.tenant, write.item, write.replica),
        )
    except sqlcipher.IntegrityError:
        raise Conflict(
            "exchange-open",
            "an exchange of this id awaits its outcome",
            "send the request again; it gets a new id",
        ) from None


@_apply.register
def _(write: CloseExchange, run: Any) -> None:
    run("delete from open_exchanges where tenant = ? and item = ?", (write.tenant, write.item))


@_apply.register
def _(write: ShredSubjects, run: Any) -> None:
    for subject in write.subjects:
        for table, column in OF_SUBJECTS:
            run(
                f"delete from {table} where tenant = ? and {column} = ?",  # noqa: S608  names of ours
                (write.tenant, subject),
            )


@_apply.register
def _(write: ShredTenant, run: Any) -> None:
    for table in OF_TENANT:
        run(f"delete from {table} where tenant = ?", (write.tenant,))  # noqa: S608  names of ours
    run(
        "delete from tenant_keys where tenant = ?1 and (use, version) not in "
        "(select use, max(version) from tenant_keys where tenant = ?1 group by use)",
        (write.tenant,),
    )
    run("update tenant_keys set wrapped = x'' where tenant = ?", (write.tenant,))


@_apply.register
def _(write: DropTenantKeys, run: Any) -> None:
    place = (write.tenant, write.below)
    query = "select 1 from data_keys where tenant = ? and tenant_key_version < ? limit 1"
    if run(query, place).fetchone():
        raise keys_in_use()
    run("delete from tenant_keys where tenant = ? and use = 'data' and version < ?", place)


@_apply.register
def _(write: DropDataKeys, run: Any) -> None:
    for key_id in write.key_ids:
        run(
            "delete from data_keys where tenant = ? and key_id = ? and tenant_key_version < ?",
            (write.tenant, key_id, write.below),
        )


@_apply.register
def _(write: OfSessions, run: Any) -> None:
    for statement, values in session_statements(write, "?"):
        run(statement, values)


@singledispatch
def _keep(fact: object, run: Callable[..., Any]) -> None:
    raise RuntimeError(f"{type(fact).__name__} is not a fact; {run!r} was not called")


@_keep.register
def _(fact: KeepFacets, run: Any) -> None:
    # One statement for all rows: a call for each would cost more than the row.
    run(
        "insert into facets select ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 "
        "from json_each(?2) where true on conflict do nothing",
        (fact.log, orjson.dumps(fact.rows).decode()),
    )
    run(
        "insert into indexed values (?, ?) on conflict (log) do update set "
        "upto = max(upto, excluded.upto)",
        (fact.log, fact.upto),
    )


@_keep.register
def _(fact: KeepPublished, run: Any) -> None:
    made = fact.published
    run(
        "insert or replace into published (log, size, at_ms, note, is_witnessed, stamp) "
        "values (?, ?, ?, ?, ?, ?)",
        (made.log, made.size, made.at_ms, made.note, made.is_witnessed, made.stamp),
    )


@_keep.register
def _(fact: KeepArchived, run: Any) -> None:
    made = fact.archived
    run(
        "insert or replace into archived (log, bundle, archive, version, digest, at_ms) "
        "values (?, ?, ?, ?, ?, ?)",
        (made.log, made.bundle, made.archive, made.version, made.digest, made.at_ms),
    )


@_keep.register
def _(fact: KeepLease, run: Any) -> None:
    run(
        "insert into leases values (?, ?) on conflict (replica) do update set "
        "until_ms = excluded.until_ms",
        (fact.replica, fact.until_ms),
    )


@_keep.register
def _(fact: KeepTenantKey, run: Any) -> None:
    # A tenant that was shredded gets no keys any more, of whatever version.
    run(
        "insert into tenant_keys (tenant, use, version, root_version, wrapped, made_ms) "
        "select ?1, ?2, ?3, ?4, ?5, ?6 where not exists (select 1 from tenant_keys "
        "where tenant = ?1 and length(wrapped) = 0) on conflict do nothing",
        tenant_key_row(fact.key),
    )


@_keep.register
def _(fact: ReplaceTenantKey, run: Any) -> None:
    key = fact.key
    run(
        "update tenant_keys set root_version = ?, wrapped = ? where tenant = ? and use = ? "
        "and version = ? and root_version = ? and length(wrapped) > 0",
        (key.root_version, key.wrapped, key.tenant, key.use, key.version, fact.before),
    )


@_keep.register
def _(fact: KeepRewrapped, run: Any) -> None:
    for key in fact.keys:
        run(
            "update data_keys set tenant_key_version = ?1, wrapped = ?2 where key_id = ?3 "
            "and tenant = ?4 and tenant_key_version = ?5 and exists (select 1 from tenant_keys "
            "where tenant = ?4 and use = 'data' and version = ?1 and length(wrapped) > 0)",
            (key.to_version, key.wrapped, key.key_id, key.tenant, key.from_version),
        )


@_keep.register
def _(fact: ReserveUses, run: Any) -> None:
    run(
        "update data_keys set uses = uses + ? where key_id = ? and tenant = ?",
        (fact.uses, fact.key_id, fact.tenant),
    )


@_keep.register
def _(fact: OfTime, run: Any) -> None:
    for statement, values in session_statements(fact, "?"):
        run(statement, values)


def tenant_key_row(key: TenantKey) -> tuple[str, str, int, int, bytes, int]:
    """Return the columns of a tenant key's row, in the order of the table."""
    return key.tenant, key.use, key.version, key.root_version, key.wrapped, key.made_ms


def keys_in_use() -> Conflict:
    """Return what it is to drop a tenant key under which a data key is still wrapped."""
    return Conflict(
        "keys-in-use",
        "data keys are still wrapped under the keys that were to go",
        "wrap them anew first: `seawall keys rewrap`",
    )
