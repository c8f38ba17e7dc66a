"""The life of an exchange as a table: state -> event -> next state.

Everything that decides whether a step may follow another is in `TRANSITIONS`;
an event that is not in the table is a bug and raises `RuntimeError`. So
nothing can be sent that was not recorded, and nothing can be answered whose
outcome was not recorded: the table has no such path. The diagram in
docs/reference/exchange-states.md is drawn from this table.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where an exchange stands."""

    RECEIVED = auto()
    DECIDED = auto()
    MINIMISED = auto()
    RECORDED = auto()
    SENT = auto()
    ANSWERING = auto()
    INSPECTED = auto()
    CLOSED = auto()
    REFUSED = auto()
    FAILED = auto()


class Event(Enum):
    """What may happen to an exchange."""

    ALLOW = auto()
    """The decision allows the exchange."""
    REFUSE = auto()
    """The decision, the scope or the inspection refuses it."""
    MINIMISE = auto()
    """Every leaf was walked, and what may not be seen was replaced."""
    RECORD_INTENT = auto()
    """The intent is durable in the ledger."""
    SEND = auto()
    """The first byte leaves for the upstream."""
    RECEIVE = auto()
    """The upstream's answer begins."""
    INSPECT = auto()
    """The whole answer was inspected for identifiers that are new."""
    RECORD_OUTCOME = auto()
    """The outcome is durable in the ledger."""
    FAIL = auto()
    """The world failed: ledger, upstream or client."""


TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.RECEIVED: {
        Event.ALLOW: State.DECIDED,
        Event.REFUSE: State.REFUSED,
        Event.FAIL: State.FAILED,
    },
    State.DECIDED: {
        Event.MINIMISE: State.MINIMISED,
        Event.REFUSE: State.REFUSED,
        Event.FAIL: State.FAILED,
    },
    State.MINIMISED: {
        Event.RECORD_INTENT: State.RECORDED,
        Event.REFUSE: State.REFUSED,
        Event.FAIL: State.FAILED,
    },
    State.RECORDED: {
        Event.SEND: State.SENT,
        Event.REFUSE: State.REFUSED,
        Event.FAIL: State.FAILED,
    },
    State.SENT: {Event.RECEIVE: State.ANSWERING, Event.FAIL: State.FAILED},
    State.ANSWERING: {
        Event.INSPECT: State.INSPECTED,
        Event.REFUSE: State.REFUSED,
        Event.FAIL: State.FAILED,
    },
    State.INSPECTED: {Event.RECORD_OUTCOME: State.CLOSED, Event.FAIL: State.FAILED},
    State.CLOSED: {},
    State.REFUSED: {},
    State.FAILED: {},
}
"""Every step that an exchange may take."""


class Exchange:
    """Holds the state of one exchange and refuses every step that the table lacks."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = State.RECEIVED

    @property
    def state(self) -> State:
        """Where the exchange stands."""
        return self._state

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen."""
        return not TRANSITIONS[self._state]

    def advance(self, event: Event) -> State:
        """Take one step; raise `RuntimeError`, changing nothing, if the table has none."""
        following = TRANSITIONS[self._state].get(event)
        if following is None:
            raise RuntimeError(f"an exchange that is {self._state.name} cannot {event.name}")
        self._state = following
        return following
