"""The life of an exchange: the table, and that nothing leaves it."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seawall.core.gateway.exchange import TRANSITIONS, Event, Exchange, State

ALL = [(state, event) for state in State for event in Event]
TERMINAL = {State.CLOSED, State.REFUSED, State.FAILED}
WAY = [
    (Event.ALLOW, State.DECIDED),
    (Event.MINIMISE, State.MINIMISED),
    (Event.RECORD_INTENT, State.RECORDED),
    (Event.SEND, State.SENT),
    (Event.RECEIVE, State.ANSWERING),
    (Event.INSPECT, State.INSPECTED),
    (Event.RECORD_OUTCOME, State.CLOSED),
]


def path_to(state: State) -> list[Event]:
    """Return the shortest series of events that leads to a state, by search."""
    paths: dict[State, list[Event]] = {State.RECEIVED: []}
    waiting = [State.RECEIVED]
    while waiting:
        here = waiting.pop(0)
        for event, there in TRANSITIONS[here].items():
            if there not in paths:
                paths[there] = [*paths[here], event]
                waiting.append(there)
    return paths[state]


def exchange_in(state: State) -> Exchange:
    """Return an exchange that was led to a state."""
    exchange = Exchange()
    for event in path_to(state):
        exchange.advance(event)
    return exchange


def test_exchange_begins_received() -> None:
    """An exchange begins where nothing is decided."""
    exchange = Exchange()

    assert (State.RECEIVED, False) == (exchange.state, exchange.is_over)


def test_whole_way() -> None:
    """An answered exchange takes the seven steps in their order, and is then over."""
    exchange = Exchange()

    assert [state for _, state in WAY] == [exchange.advance(event) for event, _ in WAY]
    assert exchange.is_over


@pytest.mark.parametrize(("state", "event"), ALL, ids=[f"{s.name}-{e.name}" for s, e in ALL])
def test_every_step_is_the_tables(state: State, event: Event) -> None:
    """In each state each event leads where the table says, or is a bug that changes nothing."""
    exchange = exchange_in(state)
    following = TRANSITIONS[state].get(event)

    if following is None:
        with pytest.raises(RuntimeError):
            exchange.advance(event)
        assert exchange.state is state
    else:
        assert following is exchange.advance(event) is exchange.state


def test_table_has_every_state() -> None:
    """Every state has its line in the table, and every state can be reached."""
    assert set(State) == set(TRANSITIONS)
    assert [] == [state for state in State if exchange_in(state).state is not state]


def test_terminal_states_are_the_three() -> None:
    """Only a closed, refused or failed exchange is over."""
    assert TERMINAL == {state for state in State if exchange_in(state).is_over}


def test_world_may_fail_anywhere() -> None:
    """Wherever an exchange stands that is not over, the world may fail."""
    assert {State.FAILED} == {TRANSITIONS[state].get(Event.FAIL) for state in set(State) - TERMINAL}


@pytest.mark.parametrize(
    ("state", "only"),
    [
        (State.RECORDED, Event.RECORD_INTENT),
        (State.SENT, Event.SEND),
        (State.CLOSED, Event.RECORD_OUTCOME),
    ],
)
def test_one_door_to_what_matters(state: State, only: Event) -> None:
    """Recorded, sent and closed are each reached by one event from one state."""
    doors = [event for steps in TRANSITIONS.values() for event in steps if steps[event] is state]

    assert [only] == doors


def test_nothing_is_refused_between_sending_and_answer() -> None:
    """Once the request is sent, a refusal comes only from inspecting the answer."""
    refusing = {state for state, steps in TRANSITIONS.items() if Event.REFUSE in steps}

    before = {State.RECEIVED, State.DECIDED, State.MINIMISED, State.RECORDED}
    assert {*before, State.ANSWERING} == refusing


class Trips(RuleBasedStateMachine):
    """Tries every event at any time, and keeps what was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange()
        self.accepted: list[Event] = []

    @rule(event=st.sampled_from(list(Event)))
    def attempt(self, event: Event) -> None:
        """Try an event."""
        before = self.exchange.state
        try:
            self.exchange.advance(event)
        except RuntimeError:
            assert self.exchange.state is before
        else:
            self.accepted.append(event)

    @precondition(lambda self: not self.exchange.is_over)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """Take a step that the table has."""
        event = data.draw(st.sampled_from(list(TRANSITIONS[self.exchange.state])))
        self.exchange.advance(event)
        self.accepted.append(event)

    @invariant()
    def nothing_before_its_time(self) -> None:
        """Each step comes at most once, after every step that must come before it."""
        order = [event for event, _ in WAY]
        steps = [event for event in self.accepted if event in order]

        assert steps == order[: len(steps)]

    @invariant()
    def end_is_the_end(self) -> None:
        """Accept an end at most once, as the last event."""
        ends = [
            event in {Event.REFUSE, Event.FAIL, Event.RECORD_OUTCOME} for event in self.accepted
        ]

        assert not any(ends[:-1])
        assert self.exchange.is_over == (self.exchange.state in TERMINAL) == any(ends)


TestTrips = Trips.TestCase
