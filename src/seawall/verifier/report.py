"""Saying what was found: a step a line, for people, or one JSON object, for programs.

File names, origins and sentences may come from a hostile log, so whatever is
not printable ASCII is written as an escape.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .refusal import STEPS, OutputError, shortened

if TYPE_CHECKING:
    from .refusal import Refusal
    from .steps import Outcome

_INDENT: Final = " " * 34
_LONGEST: Final = 600
"""No sentence of ours is longer; a hostile name may be, and is cut."""


@dataclass
class Report:
    """The verdict as it grows. `as_json` keeps it until the end."""

    folder: str
    as_json: bool
    steps: list[dict[str, str | int]] = field(default_factory=list)

    def step(self, number: int, result: str, found: str) -> None:
        """Say how a step ended."""
        if not self.as_json and not self.steps:
            say(f"verifying {printable(self.folder)}\n")
        name = STEPS[number - 1]
        self.steps.append({"step": number, "name": name, "result": result, "found": found})
        if not self.as_json:
            line = f"{number:3}  {name:<17} {result:<10} {printable(found)}"
            say(textwrap.fill(line, 96, subsequent_indent=_INDENT))

    def finish(
        self, refusal: Refusal | None, outcome: Outcome, *, key_is_from_folder: bool
    ) -> None:
        """Say the verdict; steps that a refusal kept from ending are named as such."""
        done = {step["step"] for step in self.steps}
        for number in range(1, len(STEPS) + 1):
            if refusal and number == refusal.step:
                self.step(number, "REFUSED", f"{shortened(refusal.file)}: {refusal.problem}")
            elif number not in done:
                self.step(number, "not ended", "")
        if self.as_json:
            known = {
                "key_is_from_folder": key_is_from_folder,
                "size": None if refusal else outcome.size,
                "verified_from": outcome.verified_from,
                "newer_checkpoints_without_tiles": outcome.newer,
            }
            say(json.dumps(self._json(refusal) | known, indent=2))
        elif refusal:
            say(
                f"\nNOT VERIFIED. Step {refusal.step} refused {printable(shortened(refusal.file))}."
            )
            say(textwrap.fill(f"What to do: {printable(refusal.advice)}.", 96))
        else:
            by_folder = " by the key that lies in the folder" if key_is_from_folder else ""
            say(f"\n{textwrap.fill(_verdict(by_folder, outcome), 96)}")

    def _json(self, refusal: Refusal | None) -> dict[str, object]:
        return {
            "folder": self.folder,
            "verified": refusal is None,
            "steps": self.steps,
            "refusal": refusal
            and {
                "step": refusal.step,
                "file": refusal.file,
                "problem": refusal.problem,
                "advice": refusal.advice,
            },
        }


def say(text: str) -> None:
    """Print at once, so that whoever cannot be told is found out here."""
    try:
        print(text, flush=True)
    except OSError as error:
        raise OutputError from error


def _verdict(by_folder: str, outcome: Outcome) -> str:
    size, first = outcome.size, outcome.verified_from
    older = " AN OLDER STATE" if outcome.newer else ""
    later = f" {outcome.newer:,} checkpoints of more entries lie there: get a whole copy."
    if first:
        found = (
            f" FROM ENTRY {first:,} ON, of {size:,}. The entries before it were not in this copy: "
            "nothing was found out about them, but that the tree is the signed one."
        )
    elif by_folder:
        found = f". It holds {size:,} entries; step 1 says what that cannot show."
    else:
        found = f". Each of the {size:,} entries is the one that the log's key signed."
    return f"VERIFIED{older}{by_folder}{found}{later if older else ''}"


def printable(text: str) -> str:
    """Return text that cannot move a terminal's cursor or fail to be encoded."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(
        character if " " <= character <= "~" else ascii(character)[1:-1] for character in shown
    )
