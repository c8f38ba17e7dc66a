"""The shape of exchanges: when, which use case and model, how it ended, how much was found.

No text and no patient: those have acts of their own. It is read out of the ledger, so it
is a reading, and recorded before anything is shown. 45 CFR 164.312(b).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from seawall.app.ports import Query
from seawall.app.record_reading import Reading
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seawall.app.ports import Store
    from seawall.app.record_reading import RecordReading
    from seawall.core.policy.principal import Principal

Which = Literal["sent", "refused"]
"""What was sent to a model, or what was refused before."""

INTENT: Final = "exchange.intent"
REFUSAL: Final = "exchange.refuse"
OUTCOME: Final = "exchange.outcome"
_LONGEST_MS: Final = 3_600_000
"""So long after its intent an outcome is looked for."""
_PAGE: Final = 500
_PAGES: Final = 4
"""So many pages of outcomes are looked through at most: what bounds time and memory."""


@dataclass(frozen=True, slots=True)
class ExchangeShape:
    """One exchange as it can be shown to who may see no text of it."""

    entry: int
    at: str
    client: str
    use_case: str | None
    purpose: str | None
    model: str | None
    outcome: str | None
    """How it ended, as the ledger says; the code of a refusal; None where none is known yet."""
    found: Mapping[str, int]
    """How many identifiers were found, by class."""
    left: Mapping[str, int]
    """How many of them left."""


@dataclass(frozen=True, slots=True)
class ExchangesShown:
    """Exchanges, newest last, and the entry that says that they were read."""

    reading: int
    exchanges: tuple[ExchangeShape, ...]
    before: int | None
    """The entry before which there may be more; None if there is none."""


class ViewExchanges:
    """Reads the shape of a tenant's exchanges out of its ledger."""

    def __init__(self, *, store: Store, readings: RecordReading) -> None:
        self._store = store
        self._readings = readings

    async def of(
        self,
        principal: Principal,
        *,
        which: Which = "sent",
        use_case: str | None = None,
        before: int | None = None,
        last: int = 50,
        access: Mapping[str, Any] | None = None,
    ) -> ExchangesShown:
        """Record the reading, then return the newest `last` exchanges before an entry.

        `access` is by which policies it was allowed, for the entry.
        """
        log, action = principal.tenant, INTENT if which == "sent" else REFUSAL
        facets = [("action", action), *([("use-case", use_case)] if use_case else [])]
        query = Query(tuple(facets), before=before, last=last)
        recorded = await self._readings.record(principal, Reading("list", log, query), access)
        found = [(index, decode(raw)) for index, raw in recorded.entries]
        ended = await self._outcomes(log, found) if which == "sent" else {}
        shown = tuple(_shape(index, said, ended) for index, said in found)
        return ExchangesShown(
            recorded.entry, shown, found[0][0] if len(found) == last and found else None
        )

    async def _outcomes(
        self, log: str, intents: list[tuple[int, dict[str, Any]]]
    ) -> dict[str, str]:
        """Return how exchanges ended, by their random id."""
        if not intents:
            return {}
        moments = [moment_of(said) for _, said in intents]
        wanted = {str(said["item"]) for _, said in intents}
        ended: dict[str, str] = {}
        earlier: tuple[int, int] | None = None
        for _ in range(_PAGES):
            query = Query(
                (("action", OUTCOME),),
                since_ms=min(moments),
                until_ms=max(moments) + _LONGEST_MS,
                earlier=earlier,
                last=_PAGE,
            )
            page = [(index, decode(raw)) for index, raw in await self._store.find(log, query)]
            ended |= _ends(said for _, said in page if said["item"] in wanted)
            if len(page) < _PAGE or ended.keys() >= wanted:
                break
            earlier = min((moment_of(said), index) for index, said in page)
        return ended


def _ends(outcomes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(said["item"]): str(said["outcome"]) for said in outcomes}


def _shape(index: int, said: Mapping[str, Any], ended: Mapping[str, str]) -> ExchangeShape:
    decision: Mapping[str, Any] = said.get("decision", {})
    named = (reference.partition("@")[0].partition("/") for reference in decision["documents"])
    cases = [name for kind, _, name in named if kind == "UseCase"]
    outcome = ended.get(str(said["item"])) if "item" in said else str(said.get("code", ""))
    return ExchangeShape(
        entry=index,
        at=str(said["at"]),
        client=str(said["actor"]["name"]),
        use_case=cases[0] if cases else None,
        purpose=decision.get("purpose", {}).get("name"),
        model=decision.get("model", {}).get("name"),
        outcome=outcome,
        found=said.get("found", {}),
        left=said.get("left", {}),
    )
