"""Opening the sealed text of one exchange, for a reason and a purpose, by a prior entry.

The entry says who opens which part of which exchange, whose PHI it is, for which
purpose, by which policies, and the digest of the sealed reason; it is the grant. One
part is opened and no other: what was sent to the model has placeholders where the
use case may not see, what was received and what was answered has what stood there.
45 CFR 164.312(a)(1), 164.312(b), 164.502(b).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from seawall.app.answer import ANSWER
from seawall.app.ask_model import REQUEST
from seawall.app.entries import entry
from seawall.app.ports import KeepSealed
from seawall.app.recall import UNATTRIBUTED
from seawall.app.view_exchanges import INTENT
from seawall.core.errors import Missing, Refused, Tampered
from seawall.core.ledger.encoding import decode
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.purpose import HL7_CODES
from seawall.core.policy.scope import text_withheld
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from seawall.app.access import Access, Allowed
    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, KeyRing, Ledger, Random, Store
    from seawall.core.seal.envelope import Sealed

Part = Literal["received", "sent", "answer"]
"""What the client sent, what the model got of it, or what the client got back."""

REASON: Final = "payload.reason"
"""The kind of sealed value that a reason is; its item is random, and in the entry."""
_BECAUSE: Final = "the policies let this person open a payload, for a reason that is sealed"
_GRANT_MS: Final = 60_000


class SealedValues(Protocol):
    """Where sealed values lie: in the database, or in a payload store too."""

    async def sealed(self, tenant: str, kind: str, item: str) -> Sealed | None:
        """Return a sealed value, or None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedPayload:
    """A part of an exchange, opened, and the entry by which it was."""

    entry: int
    part: Part
    text: str = field(repr=False)


class OpenPayload:
    """Opens what was sealed of exchanges."""

    def __init__(
        self,
        *,
        access: Access,
        documents: Documents,
        store: Store,
        payloads: SealedValues,
        ledger: Ledger,
        keys: KeyRing,
        clock: Clock,
        random: Random,
    ) -> None:
        self._access = access
        self._documents = documents
        self._store = store
        self._payloads = payloads
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._random = random

    async def open(self, allowed: Allowed, exchange: int, part: Part, reason: str) -> OpenedPayload:
        """Record the opening, then open a part of the exchange whose intent is an entry.

        `Missing` if there is no such exchange or nothing is kept of it any more; `Refused`,
        which is recorded, where RoleScope documents show the person's roles less than it all.
        """
        tenant = allowed.caller.principal.tenant
        await self._check_scope(allowed)
        said = await self._intent(tenant, exchange)
        sealed = await self._sealed(tenant, said, part)
        subject, item = sealed.context.subject, self._random.bytes(16).hex()
        why = await self._keys.seal(reason.encode(), Context(tenant, REASON, subject, item))
        patients = sorted({*said["patients"], subject} - {UNATTRIBUTED})
        recorded = {
            "exchange": exchange,
            "part": part,
            "patients": patients,
            "decision": _decision(allowed),
            "reason": {"item": item, "digest": why.digest()},
            "access": allowed.answer.fields(),
            "grant": terms(
                kinds=(sealed.context.kind,),
                subjects=(subject,),
                until_ms=self._clock.now_ms() + _GRANT_MS,
            ),
        }
        body = entry("payload.open", allowed.caller.principal, self._clock, **recorded)
        receipt = await self._ledger.append(tenant, body, [KeepSealed(why)])
        opened = await self._keys.open(sealed, Grant(receipt))
        return OpenedPayload(receipt.index, part, _text(opened, part))

    async def _check_scope(self, allowed: Allowed) -> None:
        caller = allowed.caller
        if allowed.purpose is None:
            raise Refused("purpose-needed", "this needs a purpose of use", "name one")
        register = self._documents.register(caller.principal.tenant)
        roles = self._access.asker(caller).roles
        withheld = text_withheld(register, roles, allowed.purpose)
        if withheld is None:
            return
        error = Refused(
            withheld.code,
            withheld.reason,
            "a text may hold anything of a record: a RoleScope of the role names entire-record",
        )
        raise await self._access.recorded(error, caller, allowed.action, allowed.resource)

    async def _intent(self, tenant: str, exchange: int) -> dict[str, Any]:
        raw = await self._store.entries(tenant, exchange, exchange + 1) if exchange >= 0 else []
        said = decode(raw[0]) if raw else {}
        if said.get("action") != INTENT:
            raise Missing(
                "exchange-unknown",
                "there is no exchange of this entry",
                "GET /api/exchanges lists them; use the entry of one that was sent",
            )
        return said

    async def _sealed(self, tenant: str, said: dict[str, Any], part: Part) -> Sealed:
        kind = ANSWER if part == "answer" else REQUEST
        sealed = await self._payloads.sealed(tenant, kind, said["item"])
        if sealed is None:
            raise Missing(
                "payload-gone",
                "nothing is kept of this part of the exchange",
                "it had none, or its keys were shredded",
            )
        place = (sealed.context.tenant, sealed.context.kind, sealed.context.item)
        is_entrys = kind == ANSWER or sealed.digest() == said["request"]
        if place != (tenant, kind, said["item"]) or not is_entrys:
            raise Tampered(
                "payload-tampered",
                "what is kept of this exchange is not what its entry names",
                "restore the database from a backup, and treat it as an incident",
            )
        return sealed


def _decision(allowed: Allowed) -> dict[str, Any]:
    """Return the decision as entries have it: no document decided, and the policies are told."""
    said: dict[str, Any] = {"allowed": True, "documents": [], "reasons": [_BECAUSE]}
    if allowed.purpose is not None:
        said["purpose"] = {"name": allowed.purpose.value, "hl7": HL7_CODES[allowed.purpose]}
    return said


def _text(opened: bytes, part: Part) -> str:
    """Return the part's text as it was sealed."""
    if part == "answer":
        return opened.decode()
    said: dict[str, str] = json.loads(opened)
    return said[part]
