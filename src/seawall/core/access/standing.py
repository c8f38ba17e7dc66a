"""What every change of a person keeps to, by whichever path it comes: a page, SCIM, a file.

Somebody stays who administers, and somebody who answers for security; nobody changes
their own roles, nor gives a service more than they may; who leaves loses access in the
same moment, and how long that took is said. 45 CFR 164.308(a)(2), (a)(3)(ii)(A)-(C)
(addressable), (a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.core.access.vocabulary import Role
from seawall.core.errors import Conflict, Refused
from seawall.core.ledger.facets import moment_text
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.policy import PolicySpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from datetime import date, datetime

    from seawall.core.policy.principal import Principal
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document, Spec

OPERATOR: Final = "operator"
"""The client by which the terminal speaks to a server that runs; `seawall init` makes it."""

PROVISIONS: Final = "may_provision"

GUARDED: Final = (Role.ADMINISTRATOR, Role.SECURITY_OFFICER)
"""Roles that somebody always holds, once anybody does: without one nobody could help."""

_OWN: Final = ("roles", "standing", "until", "reviewer", "left_at", "account")
"""The fields of their own document that a person may not change."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A person whose last day has passed, and whose document still says that they work here.

    They may do nothing any more; the document is to be closed all the same.
    """

    person: str
    until: date
    days: int


def holders(register: Register, role: Role, today: date) -> list[Document[UserSpec]]:
    """Return who holds a role on a day, by name."""
    return [one for one in register.all(UserSpec) if role in one.spec.roles_on(today)]


def check_leaves_someone(register: Register, change: Document[Spec], today: date) -> None:
    """Raise `Refused` (`last-administrator`) if nobody would hold a role that somebody holds.

    Nor may the last one without an end be given an end. One function for every path: leaving,
    suspending, other roles, SCIM, a review that lapses, a file that is applied.
    """
    lost = _lost(register, change, today)
    if not lost:
        return
    after = register.having([change])
    for role in lost:
        now, then = holders(register, role, today), holders(after, role, today)
        lasting = any(one.spec.until is None for one in now)
        if (now and not then) or (lasting and all(one.spec.until is not None for one in then)):
            raise Refused(
                "last-administrator",
                f"nobody would be {role.value} any more, or only for a time",
                f"give the role {role.value} to somebody else first",
            )


def check_not_own(by: Principal, register: Register, change: Document[Spec]) -> None:
    """Raise `Refused` (`own-roles`) if a person changes what they themselves may do."""
    spec = change.spec
    if by.kind != "user" or by.name != change.name or not isinstance(spec, UserSpec):
        return
    earlier = register.find(UserSpec, change.name)
    if earlier is None or any(getattr(earlier.spec, one) != getattr(spec, one) for one in _OWN):
        raise Refused(
            "own-roles",
            "nobody changes their own roles or standing",
            "ask a security officer",
        )


def counted(powers: frozenset[str], whose: str, provisioners: frozenset[str]) -> frozenset[str]:
    """Return the powers of a document that count, `whose` being `TENANT/CLIENT`.

    That a client changes persons is for the settings to say besides: whoever registers
    clients could else make one that changes their own roles.
    """
    return powers if whose in provisioners else powers - {PROVISIONS}


def unnamed() -> Refused:
    """Return that a client's `may_provision` counts for nothing."""
    return Refused(
        "provisioner-unnamed",
        "this client changes no persons: the settings do not name it",
        "add it to `provisioners` of [access] in seawall.toml as TENANT/CLIENT, and restart",
    )


def check_client(
    by: Principal, register: Register, change: Document[Spec], provisioners: frozenset[str]
) -> None:
    """Raise `Refused` if a client, or by a client a person, would get what is not theirs to give.

    `provisioner-unnamed`: a client changes a person, and the settings do not name it.
    `client-powers`: a client lifts a prohibition, or hands out what it does not hold itself;
    or what changes persons, or speaks for the terminal, is handed out away from the terminal.
    45 CFR 164.308(a)(4)(ii)(B)-(C).
    """
    if by.kind not in {"client", "user"}:
        return
    is_client = by.kind == "client"
    if isinstance(change.spec, UserSpec) and is_client:
        if f"{by.tenant}/{by.name}" not in provisioners:
            raise unnamed()
        return
    if is_client and by.name == OPERATOR:
        return
    if isinstance(change.spec, PolicySpec) and is_client:
        if register.find(PolicySpec, change.name) is not None:
            raise _not_to_give("a client adds prohibitions, and changes or withdraws none")
    elif isinstance(change.spec, ClientSpec):
        held = register.find(ClientSpec, change.name)
        earlier = None if held is None else held.spec
        of_terminal = change.name == OPERATOR or f"{by.tenant}/{change.name}" in provisioners
        if of_terminal and _widens(earlier, change.spec):
            raise Refused(
                "client-powers",
                "what this client may do, and its keys, are given at the terminal alone",
                "apply it with `seawall apply`, where the data folder is",
            )
        if is_client:
            mine = register.find(ClientSpec, by.name)
            _check_given(None if mine is None else mine.spec, earlier, change.spec)


def _check_given(mine: ClientSpec | None, earlier: ClientSpec | None, spec: ClientSpec) -> None:
    """Raise `Refused` unless a client that holds `mine` may make `spec` of `earlier`."""
    if mine is None:
        raise _not_to_give("a client that is registered no more gives nothing")
    if earlier is not None and not earlier.powers <= mine.powers:
        if earlier.model_copy(update={"title": spec.title}) != spec:
            raise _not_to_give("a client that may more than this one is not this one's to change")
        return
    before = frozenset() if earlier is None else earlier.use_cases
    if not (spec.powers <= mine.powers and spec.use_cases - before <= mine.use_cases):
        raise _not_to_give("a client gives no power and no use case that it has not itself")
    if not _opens(earlier, spec):
        return
    # Whoever gives a key gives everything that its client may.
    if not spec.use_cases | before <= mine.use_cases:
        raise _not_to_give("a client gives no key to what it may not do itself")
    if _loosens(earlier, spec, mine):
        raise _not_to_give("a client's tokens are bound as those of the client that applies it")


def _widens(earlier: ClientSpec | None, spec: ClientSpec) -> bool:
    """Whether a version gives its client something, or opens another way to what it has."""
    gains = earlier is None or spec.powers - earlier.powers or spec.use_cases - earlier.use_cases
    return bool(gains) or _opens(earlier, spec)


def _opens(earlier: ClientSpec | None, spec: ClientSpec) -> bool:
    """Whether a key, a certificate or a token counts that did not."""
    if earlier is None:
        return True
    return bool(
        spec.public_key != earlier.public_key
        or set(spec.also_keys) - set(earlier.also_keys)
        or (earlier.dpop_bound and not spec.dpop_bound)
        or (earlier.is_certificate_bound and not spec.is_certificate_bound)
        or _takes_other_certificates(earlier, spec)
        or _revives(earlier, spec)
    )


def _takes_other_certificates(earlier: ClientSpec, spec: ClientSpec) -> bool:
    """Whether a certificate would count that did not, where some are named."""
    before, after = earlier.certificate_thumbprints, spec.certificate_thumbprints
    return bool(before) and not (after and after <= before)


def _revives(earlier: ClientSpec, spec: ClientSpec) -> bool:
    """Whether tokens that were revoked would count again."""
    before, after = earlier.tokens_not_before, spec.tokens_not_before
    return before is not None and (after is None or after < before)


def _loosens(earlier: ClientSpec | None, spec: ClientSpec, mine: ClientSpec) -> bool:
    """Whether tokens would be bound to less than before, and to less than those of `mine`."""
    before = earlier or mine
    return bool(
        (before.dpop_bound and mine.dpop_bound and not spec.dpop_bound)
        or (
            before.is_certificate_bound
            and mine.is_certificate_bound
            and not spec.is_certificate_bound
        )
        or (
            before.certificate_thumbprints
            and mine.certificate_thumbprints
            and not spec.certificate_thumbprints
        )
        or (earlier is not None and _revives(earlier, spec))
    )


def _not_to_give(message: str) -> Refused:
    return Refused("client-powers", message, "a security officer applies it, or the terminal")


def check_left(change: Document[Spec], now: datetime) -> None:
    """Raise `Refused` (`left-in-future`) if somebody is said to have left later than now."""
    spec = change.spec
    if isinstance(spec, UserSpec) and spec.left_at is not None and spec.left_at > now:
        raise Refused(
            "left-in-future",
            "nobody has left at a moment that is still to come",
            "set `until` to the last day: the roles end by themselves after it",
        )


def guarded_by(register: Register, change: Document[Spec]) -> list[str]:
    """Return what only one change may spend, for each guarded role that this takes from somebody.

    It is the role, and how often it was taken before: of two changes of which neither saw
    the other only one is kept, whatever else each of them changes and whatever was changed
    between. So two administrators who remove each other at once do not both succeed.
    """
    earlier = register.find(UserSpec, change.name)
    if earlier is None or not isinstance(change.spec, UserSpec):
        return []
    lessened = change.spec.lessens(earlier.spec)
    return [f"{role.value} {register.lessened(role)}" for role in GUARDED if role in lessened]


def _lost(register: Register, change: Document[Spec], today: date) -> list[Role]:
    """Return the guarded roles that a change takes from somebody, or gives another end.

    Most changes take none, and then nobody else has to be looked at.
    """
    earlier = register.find(UserSpec, change.name)
    if earlier is None or not isinstance(change.spec, UserSpec):
        return []
    has, keeps = earlier.spec.roles_on(today), change.spec.roles_on(today)
    is_same = earlier.spec.until == change.spec.until
    return [role for role in GUARDED if role in has and not (is_same and role in keeps)]


def check_account(by: Principal, register: Register, change: Document[Spec]) -> None:
    """Raise unless somebody may sign in by the account at a provider that a change gives them.

    `Conflict` (`account-taken`) if it is another person's. `Refused` (`scim-mutability`) if a
    client gives somebody another one: who says so takes the person over.
    """
    if not changes_account(register, change) or not isinstance(change.spec, UserSpec):
        return
    held, wanted = register.find(UserSpec, change.name), change.spec.account
    if by.kind == "client" and held is not None and held.spec.account is not None:
        raise account_stays()
    others = (one for one in register if isinstance(one.spec, UserSpec) and one.name != change.name)
    if wanted is not None and any(
        isinstance(one.spec, UserSpec)
        and one.spec.account == wanted
        and one.spec.standing != "left"
        for one in others
    ):
        raise Conflict(
            "account-taken",
            "another person signs in by this account",
            "an account at a provider is one person's: see who has it, or send another",
        )


def check_user_name(register: Register, change: Document[Spec]) -> None:
    """Raise `Conflict` (`scim-taken`) if a provider calls somebody else here so already.

    Its next change would else be of either of them.
    """
    spec, held = change.spec, register.find(UserSpec, change.name)
    if not isinstance(spec, UserSpec) or spec.user_name is None:
        return
    wanted = spec.user_name.casefold()
    if held is not None and wanted == (held.spec.user_name or "").casefold():
        return
    if any(
        isinstance(one.spec, UserSpec)
        and one.spec.standing != "left"
        and (one.spec.user_name or one.name).casefold() == wanted
        for one in register
        if one.name != change.name
    ):
        raise Conflict(
            "scim-taken",
            "somebody here has this userName",
            "find them by a filter, and change them",
        )


def account_stays() -> Refused:
    """Return that no client changes by which account somebody signs in."""
    return Refused(
        "scim-mutability",
        "a client gives an account to who has no account and no factor, and changes none",
        "a security officer changes it, who may reset factors",
    )


def changes_account(register: Register, change: Document[Spec]) -> bool:
    """Whether a change gives, changes or takes the account by which a person signs in."""
    if not isinstance(change.spec, UserSpec):
        return False
    held = register.find(UserSpec, change.name)
    return (None if held is None else held.spec.account) != change.spec.account


def ends_sessions(earlier: UserSpec | None, spec: UserSpec) -> bool:
    """Whether a change ends every session of the person: of standing, or of the account.

    Of standing either way: a sign-in that raced a suspension must not count again after it.
    """
    if earlier is None:
        return False
    return spec.standing != earlier.standing or earlier.account != spec.account


def recorded(
    earlier: UserSpec | None, change: Document[UserSpec], now: datetime
) -> tuple[str, dict[str, Any]]:
    """Return the action and the fields by which an entry says what a person's change did.

    When somebody leaves, `delay_ms` is the time from then until access ended, which is now:
    164.308(a)(3)(ii)(C).
    """
    spec = change.spec
    fields: dict[str, Any] = {"person": change.name, "standing": spec.standing}
    fields["roles"] = sorted(role.value for role in spec.roles)
    before = frozenset() if earlier is None else earlier.roles
    fields["gained"] = sorted(role.value for role in spec.roles - before)
    fields["lost"] = sorted(role.value for role in before - spec.roles)
    if spec.until is not None:
        fields["until"] = spec.until.isoformat()
    if ends_sessions(earlier, spec):
        fields["sessions"] = "all"
    had = None if earlier is None else earlier.account
    if had != spec.account:
        is_given = "given" if had is None else "changed"
        fields["account"] = "taken" if spec.account is None else is_given
    if earlier is None:
        return "person.join", fields
    if spec.standing != "left" or earlier.standing == "left":
        return "person.change", fields
    left_at = now if spec.left_at is None else spec.left_at
    fields["left"] = moment_text(milliseconds(left_at))
    fields["delay_ms"] = max(0, milliseconds(now) - milliseconds(left_at))
    return "person.leave", fields


def milliseconds(at: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    return int(at.astimezone(UTC).timestamp() * 1000)


def overdue(register: Register, today: date) -> list[Overdue]:
    """Return whose last day has passed while the document still says active, longest first."""
    found = [
        Overdue(one.name, one.spec.until, (today - one.spec.until) // timedelta(days=1))
        for one in register.all(UserSpec)
        if one.spec.standing == "active" and one.spec.until is not None and one.spec.until < today
    ]
    return sorted(found, key=lambda one: (-one.days, one.person))
