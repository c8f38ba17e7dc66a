"""What each write of the ports becomes in SQL, inside the sequencer's transaction."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import sqlcipher3.dbapi2 as sqlcipher

from seawall.app.ports import (
    CloseExchange,
    KeepDocument,
    KeepPatient,
    KeepSealed,
    OpenExchange,
    SpendAssertion,
)
from seawall.core.errors import Conflict
from seawall.core.registers.spec import canonical_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.ports import WrappedKey, Write


def apply_write(run: Callable[..., Any], write: Write) -> None:
    """Do one write; `Conflict` if it contradicts what is there."""
    _apply(write, run)


def keep_key(run: Callable[..., Any], key: WrappedKey) -> None:
    """Keep a data key unless one of its version exists; the first one wins."""
    run(
        "insert into data_keys (key_id, tenant, subject, kind, version, tenant_key_version, "
        "wrapped) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
        (
            key.key_id,
            key.tenant,
            key.subject,
            key.kind,
            key.version,
            key.tenant_key_version,
            key.wrapped,
        ),
    )


@singledispatch
def _apply(write: object, run: Callable[..., Any]) -> None:
    raise RuntimeError(f"{type(write).__name__} is not a write; {run!r} was not called")


@_apply.register
def _(write: KeepSealed, run: Any) -> None:
    context = write.sealed.context
    run(
        "insert into sealed values (?, ?, ?, ?) on conflict (tenant, kind, item) "
        "do update set envelope = excluded.envelope",
        (context.tenant, context.kind, context.item, bytes(write.sealed)),
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
        run("insert into open_exchanges values (?, ?)", (write.tenant, write.item))
    except sqlcipher.IntegrityError:
        raise Conflict(
            "exchange-open",
            "an exchange of this id awaits its outcome",
            "send the request again; it gets a new id",
        ) from None


@_apply.register
def _(write: CloseExchange, run: Any) -> None:
    run("delete from open_exchanges where tenant = ? and item = ?", (write.tenant, write.item))
