"""The key manager as a file: root keys in the key ring's file, for one machine.

Whoever has both the folder and what opens its key ring has the keys. What is
destroyed here is gone from the file; an older copy of the file still holds it,
so that shredding proves as much as is known of copies (164.310(d)(2)(i)).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seawall.adapters.keys.wrapping import decrypt, encrypt
from seawall.app.ports import Destruction, RootVersion, Secret
from seawall.core.errors import Missing, Refused, Tampered

if TYPE_CHECKING:
    from seawall.adapters.keys.ring_file import RingFile
    from seawall.app.ports import Clock, Random

_PLACE: Final = "root-keys"


class FileKeys:
    """The Provider and the Operator over a ring file: who may open it may do all."""

    provider: Final = "file"

    def __init__(
        self, ring: RingFile, clock: Clock, random: Random, *, is_shared: bool = False
    ) -> None:
        """Take `is_shared` where other machines may hold copies of the ring's file."""
        self._ring = ring
        self._is_shared = is_shared
        self._clock = clock
        self._random = random

    def __repr__(self) -> str:
        return "<FileKeys>"

    def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap 32 bytes under the newest version of a root key."""
        held = self._numbers(name)
        if not held:
            raise _missing()
        version = held[-1]
        key = self._ring.key(_place(name, version))
        return Secret(version, encrypt(key, secret, _bound(name, version, context), self._random))

    def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped."""
        if secret.version not in self._numbers(name):
            raise _missing()
        key = self._ring.key(_place(name, secret.version))
        opened = decrypt(key, secret.blob, _bound(name, secret.version, context))
        if opened is None:
            raise Tampered(
                "wrapped-key-tampered",
                "a wrapped key does not open under its root key",
                "restore it from a backup, and treat the change as an incident",
            )
        return opened

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        numbers = self._numbers(name)
        if not numbers:
            raise _missing()
        return [
            RootVersion(number, "enabled", self._ring.made(_place(name, number)))
            for number in numbers
        ]

    def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one."""
        if not self._numbers(name):
            self._ring.ensure(_place(name, 1))

    def rotate(self, name: str) -> int:
        """Make a new version of a root key; return it."""
        self._refuse_shared()
        numbers = self._numbers(name)
        if not numbers:
            raise _missing()
        self._ring.ensure(_place(name, numbers[-1] + 1))
        return numbers[-1] + 1

    def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Take versions of a root key out of the file; nothing changes if they are gone."""
        self._refuse_shared()
        numbers = [one for one in self._numbers(name) if below is None or one < below]
        self._ring.remove([_place(name, number) for number in numbers])
        return Destruction(
            name, tuple(numbers), self._clock.now(), "removed from the key ring's file"
        )

    def _refuse_shared(self) -> None:
        """Raise where another machine's copy would not follow, and keep what is destroyed here."""
        if self._is_shared:
            raise Refused(
                "key-file-shared",
                "root keys in a file are not replaced where replicas share a database",
                "keep the root keys in OpenBao or AWS KMS: see the setting [keys]",
            )

    def _numbers(self, name: str) -> list[int]:
        """Return the versions of a root key that the file holds, as it is now."""
        self._ring.refresh()
        pattern = re.compile(re.escape(f"{_PLACE}/{name}/") + "([1-9][0-9]*)")
        found = (pattern.fullmatch(each) for each in self._ring.names())
        return sorted(int(match[1]) for match in found if match)


def _place(name: str, version: int) -> str:
    return f"{_PLACE}/{name}/{version}"


def _bound(name: str, version: int, context: str) -> bytes:
    return f"{name}\n{version}\n{context}".encode()


def _missing() -> Missing:
    return Missing(
        "root-key-missing",
        "the key manager has no such root key, or no longer this version of it",
        "it was destroyed, or the key ring must be restored from its backup",
    )
