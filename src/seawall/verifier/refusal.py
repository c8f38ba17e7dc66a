"""How the verifier says no: which step, which file, what is wrong, what to do."""

from __future__ import annotations

from typing import Final

STEPS: Final = (
    "verifier key",
    "checkpoint",
    "files",
    "entries",
    "tiles",
    "root",
    "older checkpoint",
    "content",
    "cosignatures",
    "time stamps",
)
KEY, CHECKPOINT, FILES, BUNDLES, TILES, ROOT, OLDER, CONTENT, COSIGNATURES, STAMPS = range(
    1, len(STEPS) + 1
)

FETCH_AGAIN: Final = (
    "copy the log again from its operator; if it stays so, the log was changed or damaged: "
    "keep this copy and treat it as an incident"
)


SPLIT: Final = (
    "keep this copy: the key has signed two histories, and both signatures are in it; treat it as "
    "an incident"
)
ALLOW_OLDER: Final = (
    "get a whole copy, for the log once had more entries than this one has; to verify only what "
    "is here, use --allow-older"
)


_NAME: Final = 100
"""No longer name of somebody else's stands in a sentence of ours, so that its end is seen."""


def shortened(name: str) -> str:
    """Return a name that others chose, cut where it would push what we say out of sight."""
    return name if len(name) <= _NAME else f"{name[:_NAME]}..."


class Refusal(Exception):
    """The log fails a step: a verdict, not a fault of the program."""

    def __init__(self, step: int, file: str, problem: str, advice: str = FETCH_AGAIN) -> None:
        super().__init__(step, file, problem, advice)
        self.step = step
        self.file = file
        self.problem = problem
        self.advice = advice


class UsageError(Exception):
    """The program was called in a way that leaves nothing to verify."""


class OutputError(Exception):
    """What was found cannot be written; raised from the error of the system."""


class FormError(ValueError):
    """What was read is not what it should be; says in a sentence why."""
