"""Whether what somebody shows is a factor of theirs: a passkey, or a one-time code.

What is found is told to the caller alone, who records it; a stranger is told nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from seawall.core.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.factors import Accounts, Opened
    from seawall.app.ports import Clock, Notifier, Passkeys, SecondFactor
    from seawall.core.identity.account import Account


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A browser's answer to a request for a passkey, and what it was asked with."""

    credential: str
    handle: bytes
    response: Mapping[str, Any] = field(repr=False)
    challenge: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """Why a factor is not taken, or the account once it was used."""

    because: str
    """For entries alone; empty if it is taken."""
    account: Account | None = None
    is_user_verified: bool = False


class ShowFactors:
    """Checks factors against an account that was opened."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        passkeys: Passkeys,
        codes: SecondFactor,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._passkeys = passkeys
        self._codes = codes
        self._notifier = notifier
        self._clock = clock

    def read(self, response: Mapping[str, Any], challenge: bytes) -> PresentedKey:
        """Read a browser's answer, which is not verified yet; `Invalid` if it is none."""
        credential, handle = self._passkeys.named(response)
        return PresentedKey(credential, handle, response, challenge)

    def check(self, opened: Opened, shown: PresentedKey) -> Found:
        """Return what a passkey shows; a count that goes back is a copy of it, and an alarm."""
        passkey, person = opened.account.passkey(shown.credential), opened.person
        if opened.hindrance:
            return Found(opened.hindrance)
        if passkey is None or person is None:
            return Found("wrong")
        if shown.handle not in {b"", self._accounts.handle(person)}:
            return Found("wrong")
        try:
            found = self._passkeys.shown(shown.response, shown.challenge, passkey)
        except Refused:
            return Found("wrong")
        if passkey.is_cloned(found.count):
            self._notifier.alarm("passkey-cloned", person.tenant, opened.entry)
            return Found("passkey-cloned")
        account = opened.account.with_shown(
            found.credential, found.count, is_synced=found.is_synced
        )
        # A key that verified nobody when it was registered may have got its PIN from a thief.
        return Found("", account, found.is_user_verified and passkey.verifies_user)

    def check_code(self, opened: Opened, code: str) -> Found:
        """Return what a one-time code shows; each is taken once (RFC 6238, section 5.2)."""
        factor = opened.account.codes
        # Compared whoever is named: an unknown name must not be answered sooner.
        secret = self._codes.new_secret() if factor is None else factor.secret
        step = self._codes.step_of(secret, code.strip(), self._clock.now_ms())
        if opened.hindrance:
            return Found(opened.hindrance)
        if factor is None or step is None:
            return Found("wrong")
        if step <= factor.used:
            return Found("code-used")
        return Found("", replace(opened.account, codes=factor.accepted(step)))
