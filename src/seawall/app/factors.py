"""Accounts as they are kept: sealed under the system's own keys, opened by an entry.

Each opening is an entry of the system's log, made before, and that entry is the
grant. A name that nobody has opens a decoy, so that it costs the same. What is
changed is compared with what was read, in the transaction of the entry that says so.
45 CFR 164.312(d), 164.308(a)(5)(ii)(C)-(D).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, KeepSealed
from seawall.core.errors import Conflict, Tampered, Unavailable
from seawall.core.identity.account import Account
from seawall.core.identity.offline import OfflineKit
from seawall.core.ledger.encoding import decode, encode
from seawall.core.policy.factor import Factor
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.registers.spec import NAME_PATTERN
from seawall.core.registers.user import UserSpec
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.documents import Documents
    from seawall.app.ports import (
        Clock,
        KeyRing,
        Ledger,
        Notifier,
        Passwords,
        Random,
        SecondFactor,
        Store,
        Write,
    )
    from seawall.core.policy.grant import Receipt
    from seawall.core.seal.envelope import Sealed

ACCOUNT: Final = "person.account"
"""The kind of sealed value that an account is; its item is TENANT/NAME."""
PASSKEY: Final = "person.passkey"
"""The kind that says whose a credential is; its item is the digest of the credential's id."""
PLACE: Final = "person.place"
"""The mark of a place that somebody signed in from, TENANT/NAME/PLACE; without PLACE of a reset."""
OFFLINE_FACTOR: Final = "offline.factor"
"""The kind that an offline factor is (`seawall.app.offline_factors`); its item is TENANT/NAME."""
SIGN_IN: Final = Principal("system", "sign-in", SYSTEM_LOG)
"""By whom entries about somebody are who was not shown yet."""
HANDLE_BYTES: Final = 32

_GRANT_MS: Final = 60_000
_TOLD_SECONDS: Final = 60.0
"""So often the operator is told that accounts do not open."""
_DECOY: Final = "*"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Person:
    """Who is named: of which tenant, by which name of a User document."""

    tenant: str
    name: str

    @property
    def item(self) -> str:
        """Under which name what is theirs lies."""
        return f"{self.tenant}/{self.name}"

    @property
    def principal(self) -> Principal:
        """The person as the system's own entries name them."""
        return Principal("user", self.name, SYSTEM_LOG)


@dataclass(frozen=True, slots=True)
class Opened:
    """An account that was opened for one try, or the decoy that was opened in its place."""

    person: Person | None
    """Whose document it is; None for a name that nobody has."""
    spec: UserSpec | None
    sealed: Sealed | None
    """The account's own; None for a decoy."""
    account: Account
    entry: int
    """The entry that opened it."""

    @property
    def told(self) -> dict[str, str]:
        """How entries name the person; what was typed and is nobody's name is in none."""
        if self.person is None:
            return {"person": "unknown"}
        return {"person": self.person.name, "for": self.person.tenant}

    @property
    def hindrance(self) -> str:
        """Why nobody signs in here by this account, whatever is shown; empty if nothing does."""
        if self.person is None or self.spec is None:
            return "person-unknown"
        if self.sealed is None:
            return "not-enrolled"
        if self.spec.standing != "active":
            return "not-active"
        if self.spec.account is not None:
            return "provider-account"
        return ""


class Accounts:
    """Opens and seals what is kept of accounts."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        keys: KeyRing,
        documents: Documents,
        passwords: Passwords,
        codes: SecondFactor,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        key: bytes,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._notifier = notifier
        self._told_at = -_TOLD_SECONDS
        """When the operator was last told that accounts do not open."""
        self._keys = keys
        self._documents = documents
        self._passwords = passwords
        self._codes = codes
        self._clock = clock
        self._random = random
        self._key = key
        self._hash = ""

    def person(self, tenant: str, name: str) -> Person | None:
        """Return who has a User document of this name; None if nobody has."""
        if tenant == SYSTEM_LOG or not re.fullmatch(NAME_PATTERN, name):
            return None
        found = self._documents.register(tenant).find(UserSpec, name)
        return None if found is None else Person(tenant, name)

    def named(self, said: str) -> Person | None:
        """Return who is meant by what somebody typed: NAME, or TENANT/NAME."""
        tenant, name = self._parts(said)
        return self.person(tenant, name)

    def item_of(self, said: str) -> str:
        """Return TENANT/NAME of what somebody typed, also where nobody is called so."""
        return "/".join(self._parts(said))

    def _parts(self, said: str) -> tuple[str, str]:
        tenant, slash, name = said.strip().rpartition("/")
        tenants = self._documents.tenants()
        if not slash and len(tenants) == 1:
            tenant = tenants[0]
        return tenant, name

    def spec(self, person: Person) -> UserSpec | None:
        """Return a person's document as it stands."""
        found = self._documents.register(person.tenant).find(UserSpec, person.name)
        return None if found is None else found.spec

    def handle(self, person: Person) -> bytes:
        """Return the handle by which authenticators keep a person: it tells nobody the name."""
        return hmac.digest(self._key, f"handle/{person.item}".encode(), hashlib.sha256)

    async def has(self, person: Person) -> Sealed | None:
        """Return the sealed account, unopened; None if there is none."""
        return await self._sealed(ACCOUNT, person.item)

    async def has_passkey(self, credential: str) -> bool:
        """Whether a credential of this id was ever registered here."""
        return await self._sealed(PASSKEY, credential_item(credential)) is not None

    async def open(self, action: str, person: Person | None, by: Principal, **said: Any) -> Opened:
        """Record a try, then open the account or, of nobody's name, the decoy."""
        held = None if person is None else await self._sealed(ACCOUNT, person.item)
        sealed = await self._decoy() if held is None else held
        spec = None if person is None else self.spec(person)
        told = Opened(person, spec, held, Account(), 0).told
        receipt = await self._record(action, by, {**told, **said}, (ACCOUNT,))
        account = Account.from_json(await self._opened(sealed, Grant(receipt)))
        return Opened(person, spec, held, account, receipt.index)

    async def open_by_passkey(self, action: str, credential: str, **said: Any) -> Opened:
        """Record a try, then open the account whose credential this is; the decoy of nobody's."""
        index = await self._sealed(PASSKEY, credential_item(credential))
        told = {"credential": credential_item(credential)} if index is not None else {}
        receipt = await self._record(action, SIGN_IN, {**told, **said}, (ACCOUNT, PASSKEY))
        grant, person = Grant(receipt), None
        if index is not None:
            owner = decode(await self._opened(index, grant))
            person = self.person(str(owner.get("tenant")), str(owner.get("user")))
        held = None if person is None else await self._sealed(ACCOUNT, person.item)
        sealed = await self._decoy() if held is None else held
        account = Account.from_json(await self._opened(sealed, grant))
        spec = None if person is None else self.spec(person)
        return Opened(person, spec, held, account, receipt.index)

    async def factors(self, by: Principal, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return which kinds of factors persons of a tenant have, and nothing of them.

        It is one entry, however many they are; who has no account is left out.
        """
        held = {}
        for name in names:
            sealed = await self._sealed(ACCOUNT, Person(by.tenant, name).item)
            if sealed is not None:
                held[name] = sealed
        in_system = Principal(by.kind, by.name, SYSTEM_LOG)
        said = {"for": by.tenant, "count": len(held)}
        grant = Grant(await self._record("enrol.view", in_system, said, (ACCOUNT,)))
        return {
            name: Account.from_json(await self._opened(sealed, grant)).factors
            for name, sealed in held.items()
        }

    async def _opened(self, sealed: Sealed, grant: Grant) -> bytes:
        """Open what is sealed; where the keys do not answer, nobody signs in and it is told."""
        try:
            return await self._keys.open(sealed, grant)
        except Unavailable:
            now = self._clock.monotonic()
            if now - self._told_at >= _TOLD_SECONDS:
                self._told_at = now
                self._notifier.alarm("accounts-unopened", SYSTEM_LOG, grant.receipt.index)
            raise

    async def keeping(self, opened: Opened, account: Account) -> KeepSealed:
        """Return the write that replaces what was opened, and nothing that was changed since."""
        if opened.person is None:
            raise RuntimeError("a decoy is not changed")
        before = "" if opened.sealed is None else opened.sealed.digest()
        return KeepSealed(await self._seal(ACCOUNT, opened.person.item, account.to_json()), before)

    async def resetting(self, person: Person, account: Account) -> KeepSealed:
        """Return the write that replaces an account without opening it."""
        await self._keys.prepare(SYSTEM_LOG)
        held = await self._sealed(ACCOUNT, person.item)
        before = "" if held is None else held.digest()
        return KeepSealed(await self._seal(ACCOUNT, person.item, account.to_json()), before)

    async def ending_offline(self, person: Person) -> list[Write]:
        """Return what puts one without codes in the place of a person's offline factor, if any."""
        held = await self._sealed(OFFLINE_FACTOR, person.item)
        if held is None:
            return []
        left = OfflineKit.new(self._codes.new_secret(), ()).to_json()
        sealed = await self._seal(OFFLINE_FACTOR, person.item, left)
        return [KeepSealed(sealed, replaces=held.digest())]

    async def owning(self, person: Person, credential: str) -> KeepSealed:
        """Return the write that says whose a new credential is; `Conflict` if it is somebody's."""
        owner = encode({"tenant": person.tenant, "user": person.name})
        return KeepSealed(await self._seal(PASSKEY, credential_item(credential), owner), "")

    async def knows_place(self, person: Person | None, place: str) -> bool:
        """Whether somebody signed in from this place before; no key is needed to tell."""
        item = _DECOY if person is None else person.item
        return await self._sealed(PLACE, await self._place(item, place)) is not None

    async def marking(self, person: Person, place: str) -> KeepSealed:
        """Return the write that remembers a place that somebody signed in from."""
        return KeepSealed(await self._seal(PLACE, await self._place(person.item, place), b"{}"))

    async def forgetting_places(self, person: Person) -> KeepSealed:
        """Return the write after which no place is known to be this person's."""
        return KeepSealed(await self._seal(PLACE, person.item, b"{}"))

    async def _place(self, item: str, place: str) -> str:
        """Return the item of a place's mark: none that was made before a reset is found by it."""
        reset = await self._sealed(PLACE, item)
        since = "" if reset is None else reset.digest().removeprefix("sha256:")[:16] + "/"
        return f"{item}/{since}{place}"

    async def _record(
        self, action: str, by: Principal, said: dict[str, Any], kinds: tuple[str, ...]
    ) -> Receipt:
        until_ms = self._clock.now_ms() + _GRANT_MS
        grant = terms(kinds=kinds, subjects=(SYSTEM_LOG,), until_ms=until_ms)
        body = entry(action, by, self._clock, **said, grant=grant)
        return await self._ledger.append(SYSTEM_LOG, body)

    async def prepare(self) -> None:
        """Make what is opened in the place of accounts that nobody has, before it is needed."""
        await self._decoy()

    async def _decoy(self) -> Sealed:
        """Return the account that is opened in the place of one that nobody has; made once."""
        held = await self._sealed(ACCOUNT, _DECOY)
        if held is not None:
            return held
        await self._keys.prepare(SYSTEM_LOG)
        secret = self._random.bytes(_SECRET_BYTES).hex()
        password = await self._passwords.hash(secret)
        account = Account(password, codes=Factor(self._codes.new_secret()))
        made = await self._seal(ACCOUNT, _DECOY, account.to_json())
        try:
            body = entry("enrol.decoy", SIGN_IN, self._clock)
            await self._ledger.append(SYSTEM_LOG, body, [KeepSealed(made, "")])
        except Conflict:
            pass  # another process made it meanwhile
        return await self._sealed(ACCOUNT, _DECOY) or made

    async def decoy_password(self, opened: Opened) -> str:
        """Return the hash that a password is compared with where an account has none."""
        if opened.account.password:
            return opened.account.password
        if not self._hash:
            self._hash = await self._passwords.hash(self._random.bytes(_SECRET_BYTES).hex())
        return self._hash

    async def _sealed(self, kind: str, item: str) -> Sealed | None:
        """Return what is kept; `Tampered` if it was sealed as something else, such as another's."""
        held = await self._store.sealed(SYSTEM_LOG, kind, item)
        if held is not None and held.context != Context(SYSTEM_LOG, kind, SYSTEM_LOG, item):
            raise Tampered(
                "account-moved",
                "what is sealed of one account lies in the place of another's",
                "restore the database from a backup, and treat the change as an incident",
            )
        return held

    async def _seal(self, kind: str, item: str, raw: bytes) -> Sealed:
        return await self._keys.seal(raw, Context(SYSTEM_LOG, kind, SYSTEM_LOG, item))


def credential_item(credential: str) -> str:
    """Return by what entries and the index name a credential: the SHA-256 of its id."""
    return hashlib.sha256(credential.encode()).hexdigest()
