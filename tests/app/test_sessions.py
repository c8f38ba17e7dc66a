"""Sessions: whose they are, when they end, and that nothing tells why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.app.caller import Caller
from seawall.app.documents import Documents
from seawall.app.ports import SYSTEM_LOG, KeepSession
from seawall.app.sessions import Sessions
from seawall.core.errors import Refused
from seawall.core.identity.session import ABSOLUTE_SECONDS, IDLE_SECONDS, SessionLimits
from seawall.core.policy.principal import Principal

OFFICER = Principal("user", "olga", "clinic")
NETWORK = "net-1"


@dataclass
class Scene:
    """A clinic with one person, Ann, and what keeps sessions."""

    clock: FakeClock = field(default_factory=FakeClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    limits: SessionLimits = field(default_factory=SessionLimits)

    def __post_init__(self) -> None:
        store = MemoryStore(self.ledger)
        self.documents = Documents(store=store, ledger=self.ledger, clock=self.clock)
        self.sessions = Sessions(
            store=store,
            ledger=self.ledger,
            documents=self.documents,
            clock=self.clock,
            random=FakeRandom(),
            limits=self.limits,
        )

    async def ready(self) -> Scene:
        """Open the logs, and let Ann join."""
        for log in (SYSTEM_LOG, "clinic"):
            await self.ledger.open_log(log, f"x/{log}")
        await self.stand("active")
        return self

    async def stand(self, standing: str) -> None:
        """Change Ann's standing."""
        spec = {"title": "Ann Example", "roles": ["auditor"], "standing": standing}
        document = {"kind": "User", "name": "ann", "spec": spec}
        await self.documents.apply(OFFICER, [document])

    async def begin(self) -> str:
        """Begin a session of Ann's; return its name."""
        name, session = self.sessions.new("clinic", "ann", ("pwd", "otp", "mfa"), NETWORK)
        body = {"action": "test.signed-in", "tenant": SYSTEM_LOG}
        await self.ledger.append(SYSTEM_LOG, body, [KeepSession(session)])
        return name

    async def code(self, name: str, network: str = NETWORK) -> str:
        """Return how identifying by a name ends: `shown`, or the refusal's code."""
        try:
            await self.sessions.identify(name, network)
        except Refused as error:
            return error.code
        return "shown"


async def test_a_session_shows_its_person() -> None:
    """By its name, from the same network, with how the person was shown."""
    scene = await Scene().ready()
    caller = await scene.sessions.identify(await scene.begin(), NETWORK)
    assert Principal("user", "ann", "clinic") == caller.principal
    assert caller.session is not None
    assert caller.session.has_second_factor


@pytest.mark.parametrize("name", ["", "a" * 64, "a" * 10_000, "\udcff", "ann"])
async def test_another_name_shows_nobody(name: str) -> None:
    """A name of the caller's own making is no session, however long it is."""
    scene = await Scene().ready()
    await scene.begin()
    assert "session-ended" == await scene.code(name)


async def test_the_digest_that_is_kept_is_no_name() -> None:
    """Whoever reads the database cannot act as anybody in it."""
    scene = await Scene().ready()
    name = await scene.begin()
    (digest,) = scene.ledger.people.sessions
    assert name != digest
    assert "session-ended" == await scene.code(digest)


@pytest.mark.parametrize(("seconds", "ends"), [(IDLE_SECONDS - 1, "shown"), (IDLE_SECONDS, "")])
async def test_a_session_that_idles_ends(seconds: int, ends: str) -> None:
    """After 15 minutes to the second without a request."""
    scene = await Scene().ready()
    name = await scene.begin()
    scene.clock.advance(seconds)
    assert (ends or "session-ended") == await scene.code(name)


async def test_a_session_in_use_lasts_eight_hours_and_no_longer() -> None:
    """Requests every ten minutes keep it alive up to its absolute end."""
    scene = await Scene().ready()
    name = await scene.begin()
    for _ in range(ABSOLUTE_SECONDS // 600 - 1):
        scene.clock.advance(600)
        assert "shown" == await scene.code(name)
    scene.clock.advance(600)
    assert "session-ended" == await scene.code(name)


async def test_an_installation_may_set_less() -> None:
    """Five minutes of idling, where the settings say so; more than the longest is refused."""
    scene = await Scene(limits=SessionLimits(idle_seconds=300)).ready()
    name = await scene.begin()
    scene.clock.advance(300)
    assert "session-ended" == await scene.code(name)
    for wrong in ({"idle_seconds": 901}, {"absolute_seconds": 28_801}, {"idle_seconds": 0}):
        with pytest.raises(ValueError, match="sessions"):
            SessionLimits(**wrong)


async def test_another_network_ends_nothing_but_shows_nobody() -> None:
    """A stolen cookie is of no use elsewhere, and its owner works on."""
    scene = await Scene().ready()
    name = await scene.begin()
    assert "session-ended" == await scene.code(name, "net-2")
    assert "shown" == await scene.code(name)


@pytest.mark.parametrize("standing", ["suspended", "left"])
async def test_who_left_has_no_session(standing: str) -> None:
    """At once, and without anything done to the session."""
    scene = await Scene().ready()
    name = await scene.begin()
    await scene.stand(standing)
    assert "session-ended" == await scene.code(name)


async def test_all_sessions_of_a_person_end_at_once() -> None:
    """An entry of the system's log says who ended whose."""
    scene = await Scene().ready()
    names = [await scene.begin(), await scene.begin()]
    await scene.sessions.end_all(OFFICER, "ann")
    assert ["session-ended"] * 2 == [await scene.code(name) for name in names]
    said = scene.ledger.bodies(SYSTEM_LOG)[-1]
    assert ("session.end", "ann", "clinic", "all") == (
        *(said["action"], said["person"], said["for"]),
        said["sessions"],
    )


async def test_signing_out_ends_one_session() -> None:
    """The other one, on another device, stays."""
    scene = await Scene().ready()
    one, other = await scene.begin(), await scene.begin()
    await scene.sessions.end(await scene.sessions.identify(one, NETWORK))
    assert ["session-ended", "shown"] == [await scene.code(one), await scene.code(other)]


async def test_showing_a_factor_again_gives_a_new_name_and_no_more_time() -> None:
    """The old name is worth nothing; the session is as old as it was."""
    scene = await Scene().ready()
    name = await scene.begin()
    scene.clock.advance(600)
    caller = await scene.sessions.identify(name, NETWORK)
    assert caller.session is not None
    new, made, writes = scene.sessions.again(caller.session, ("hwk",))
    body = {"action": "test.stepped-up", "tenant": SYSTEM_LOG}
    await scene.ledger.append(SYSTEM_LOG, body, writes)
    assert ["session-ended", "shown"] == [await scene.code(name), await scene.code(new)]
    now_ms = scene.clock.now_ms()
    assert (caller.session.began_ms, now_ms) == (made.began_ms, made.factor_ms)
    assert ("hwk", "mfa", "otp", "pwd") == made.methods


async def test_a_use_is_kept_to_the_minute() -> None:
    """A second request within a minute writes nothing."""
    scene = await Scene().ready()
    name = await scene.begin()
    scene.clock.advance(59)
    caller = await scene.sessions.identify(name, NETWORK)
    (held,) = scene.ledger.people.sessions.values()
    assert caller == Caller(caller.principal, replace(held, seen_ms=held.began_ms))
    scene.clock.advance(1)
    await scene.sessions.identify(name, NETWORK)
    (held,) = scene.ledger.people.sessions.values()
    assert scene.clock.now_ms() == held.seen_ms


async def test_a_person_sees_and_ends_their_other_sessions() -> None:
    """And not the one in which it is asked, nor one that has idled out."""
    scene = await Scene().ready()
    idle = await scene.begin()
    scene.clock.advance(890)
    other, own = await scene.begin(), await scene.begin()
    caller = await scene.sessions.identify(own, NETWORK)
    scene.clock.advance(20)
    seen = [one.began_ms for one in await scene.sessions.others(caller)]
    await scene.sessions.end_others(caller)
    assert [scene.clock.now_ms() - 20_000] == seen
    codes = [await scene.code(name) for name in (idle, other, own)]
    assert ["session-ended", "session-ended", "shown"] == codes
    assert ("ann", "others") == tuple(
        scene.ledger.bodies(SYSTEM_LOG)[-1][name] for name in ("person", "sessions")
    )


async def test_other_sessions_are_ended_after_a_fresh_factor() -> None:
    """Whoever finds a session open throws its owner out of none."""
    scene = await Scene().ready()
    name = await scene.begin()
    caller = await scene.sessions.identify(name, NETWORK)
    scene.clock.advance(301)
    with pytest.raises(Refused, match="step-up-needed"):
        await scene.sessions.end_others(caller)


async def test_a_client_has_no_sessions() -> None:
    """They are persons'."""
    scene = await Scene().ready()
    with pytest.raises(Refused, match="session-needed"):
        await scene.sessions.others(Caller(Principal("client", "app", "clinic")))
