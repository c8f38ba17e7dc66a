"""By what an entry can be found: time, actor, patient, use case, endpoint, action, outcome.

The emergency under which something was done is one more. A facet is a pair of a name and a
value; an entry has each pair once. The index
that is made of them is a projection: it can be thrown away and made again from
the entries, and it holds nothing that they do not hold.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Invalid
from seawall.core.registers.spec import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ANY: Final = ("any", "")
"""The pair that every entry has: it finds entries by their time alone."""

FACETS: Final = ("actor", "patient", "use-case", "endpoint", "action", "outcome", "emergency")
"""The names by which entries can be asked for."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS: Final = {
    "actor": (rf"[a-z]+/{NAME_PATTERN}", "KIND/NAME, such as client/app or operator/operator"),
    "patient": (
        r"[0-9a-f]{24}",
        "the patient's random ledger id (24 hexadecimal digits), never a name or record number",
    ),
    "use-case": (NAME_PATTERN, "the name of a UseCase document"),
    "endpoint": (NAME_PATTERN, "the name of an Endpoint document"),
    "action": (r"[a-z][a-z-]*(\.[a-z][a-z-]*)*", "an action, such as exchange.intent"),
    "outcome": (r"[a-z][a-z0-9-]*", "how an exchange ended, or an error's code"),
    "emergency": (
        r"(access|mode|offline)(-[0-9a-f]{16})?-[0-9]{1,9}",
        "the id of an emergency, such as mode-1",
    ),
}
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)
_AGO: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LATEST_YEAR: Final = 9_998
_LONGEST: Final = 80
_DOCUMENT_FACETS: Final = {"UseCase": "use-case", "Endpoint": "endpoint"}


def facets_of(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facets of an entry, each once, in the order of `FACETS`, `ANY` first.

    `actor` is `kind/name`; `outcome` is how an exchange ended, or the code of a refusal.
    """
    return list(dict.fromkeys([ANY, *_found(entry)]))


def _found(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    actor = entry.get("actor", {})
    yield "actor", f"{actor.get('kind', '')}/{actor.get('name', '')}"
    for patient in entry.get("patients", ()):
        yield "patient", patient
    for reference in entry.get("decision", {}).get("documents", ()):
        kind, _, name = reference.partition("@")[0].partition("/")
        if kind in _DOCUMENT_FACETS:
            yield _DOCUMENT_FACETS[kind], name
    yield "action", str(entry.get("action", ""))
    outcome = entry.get("outcome") or entry.get("code")
    if outcome:
        yield "outcome", str(outcome)
    if entry.get("emergency"):
        yield "emergency", str(entry["emergency"])


def moment_of(entry: Mapping[str, Any]) -> int:
    """Return an entry's own time, in milliseconds since 1970; 0 if it has none that can be read.

    It is the server's word: a clock that was set back makes it smaller than a predecessor's.
    """
    try:
        at = datetime.fromisoformat(str(entry.get("at", "")))
        return (at - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return 0


def moment_text(at_ms: int) -> str:
    """Return a moment as entries write it: UTC, to the millisecond."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_facet(facet: str, value: str) -> tuple[str, str]:
    """Return the pair that is asked for; `Invalid` unless the value has the facet's form.

    The value itself is in no error: somebody may type a patient's name.
    """
    pattern, meant = _FORMS[facet]
    if len(value) > _LONGEST or not re.fullmatch(pattern, value):
        raise Invalid("filter-invalid", f"{facet} is not of its form", f"{facet} is {meant}")
    return facet, value


def read_moment(name: str, text: str, now_ms: int) -> int:
    """Return a moment in milliseconds since 1970: a date, a date-time, or so long ago.

    `2026-11-24` is its first moment; without a zone UTC is meant; `90s`, `30m`, `2h`,
    `3d` and `1w` count back from now. `Invalid`, naming the field `name`, for the rest.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now_ms - int(ago[1]) * _UNIT_MS[ago[2]])
    try:
        if _MOMENT.fullmatch(text):
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            if at >= _EPOCH and at.year <= _LATEST_YEAR:
                return (at - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        pass  # a month 13, an hour 25: told like every other text that is no time
    raise Invalid(
        "time-invalid",
        f"{name} is not a time",
        "use a date (2026-11-24), a date-time (2026-11-24T16:30, UTC unless it says another "
        "zone), or how long ago (90s, 30m, 2h, 3d, 1w)",
    )


def matches(
    entry: Mapping[str, Any],
    facets: Iterable[tuple[str, str]],
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> bool:
    """Whether an entry has every facet, and lies in the time: what the index finds, without it."""
    at_ms = moment_of(entry)
    return (
        set(facets).issubset(facets_of(entry))
        and (since_ms is None or at_ms >= since_ms)
        and (until_ms is None or at_ms < until_ms)
    )
