"""A folder with operators who have phones, for tests of the commands and doors about keys."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyotp

from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from terminal import Said

TENANT: Final = "hillside"
_STEP: Final = 30


@dataclass
class Phone:
    """An authenticator: shows a code that it has not shown before."""

    name: str
    secret: str = field(repr=False)
    _shown: int = 0

    def code(self) -> str:
        """Return the next code, waiting for it if need be."""
        while True:
            now = int(time.time()) // _STEP
            # Not of the step before: a slow machine may be in the next one when it is looked at.
            step = max(now, self._shown + 1)
            if step <= now + 1:
                self._shown = step
                return str(pyotp.HOTP(self.secret).at(step))
            time.sleep(0.5)

    def options(self) -> tuple[str, ...]:
        """Return the options of a command that show this operator."""
        return "--operator", self.name, "--code", self.code()


@dataclass
class Place:
    """A folder of one tenant with patients, and a phone for each operator."""

    terminal: Terminal
    phones: list[Phone]

    def keys(self, *command: str, proven: bool = True) -> Said:
        """Run a command of `seawall keys`, shown by whoever has a code to spare."""
        options = self.phone().options() if proven else ()
        return self.terminal.run("keys", *command, *options)

    def phone(self) -> Phone:
        """Return the phone that was used the least."""
        return min(self.phones, key=lambda one: one._shown)


def patient(name: str) -> dict[str, object]:
    """Return a FHIR patient."""
    return {"resourceType": "Patient", "id": name, "name": [{"family": name}]}


def furnished(folder: Path, *patients: str) -> Place:
    """Make a folder, import patients, enrol operators one by another."""
    terminal = Terminal(folder)
    assert 0 == terminal.run("init", "--tenant", TENANT).status
    files = []
    for name in patients:
        file = folder.parent / f"{name}.json"
        file.write_text(json.dumps(patient(name)), "utf-8")
        files.append(str(file))
    terminal.run("patient", "import", *files, "--json").json()
    phones: list[Phone] = []
    for name in ("olga", "oscar", "otto", "ona", "omar", "orla"):
        proof = phones[-1].options() if phones else ()
        told = terminal.run("keys", "enrol", name, *proof, "--json")
        phones.append(enrolled(name, told))
    return Place(terminal, phones)


def enrolled(name: str, told: Said) -> Phone:
    """Return the phone that has read what an operator's enrolment printed as JSON."""
    return Phone(name, str(pyotp.parse_uri(told.json()["uri"]).secret))
