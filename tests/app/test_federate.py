"""Signing in at a provider: who comes back, once, and who does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.app.documents import Documents
from seawall.app.entries import entry
from seawall.app.federate import Federate, Known
from seawall.app.ports import SYSTEM_LOG, AskedThere, KeepDocument
from seawall.app.sessions import Sessions
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Error, Missing, Refused, Unavailable
from seawall.core.identity.provider import Demanded
from seawall.core.identity.session import SessionLimits
from seawall.core.policy.principal import Principal
from seawall.core.registers.spec import Document
from seawall.core.registers.user import ProviderAccount, UserSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.federate import Back, Going

ISSUER = "https://id.example"
DOWN = Unavailable("provider-down", "the provider does not answer", "try again")


class FakeProvider:
    """The OpenIdProvider port: says what a test told it, of the nonce that it was asked with."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.subject = "ann@id"
        self.extra: dict[str, Any] = {}
        self.fault: Error | None = None
        self.asked: list[AskedThere] = []

    async def address(self, asked: AskedThere) -> str:
        """Return where the browser goes."""
        if self.fault is not None:
            raise self.fault
        self.asked.append(asked)
        return f"{ISSUER}/authorize?state={asked.state}"

    async def check(self) -> None:
        """Say whether it answers."""
        if self.fault is not None:
            raise self.fault

    async def claims(self, code: str, asked: AskedThere, issuer: str | None) -> Mapping[str, Any]:
        """Return the claims of a code."""
        assert (self.asked[-1], None, "code") == (asked, issuer, code)
        if self.fault is not None:
            raise self.fault
        at = self.clock.now_ms() // 1000
        return {"sub": self.subject, "amr": ["pwd", "mfa"], "auth_time": at, **self.extra}


class CountingRates:
    """The Rates port: lets so many through as a test says."""

    def __init__(self) -> None:
        self.left = 1_000

    def take(self, limit: str, *who: str) -> bool:
        """Count one more."""
        assert limit
        assert who
        self.left -= 1
        return self.left >= 0

    def forget(self, limit: str, *who: str) -> None:
        """Forget nothing."""


@dataclass
class Scene:
    """A clinic whose Ann signs in at a provider, and Bea here."""

    clock: FakeClock = field(default_factory=FakeClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    notifier: RecordingNotifier = field(default_factory=RecordingNotifier)
    rates: CountingRates = field(default_factory=CountingRates)

    def __post_init__(self) -> None:
        self.provider = FakeProvider(self.clock)
        store, random = MemoryStore(self.ledger), FakeRandom()
        self.documents = Documents(store=store, ledger=self.ledger, clock=self.clock)
        self.sessions = Sessions(
            store=store,
            ledger=self.ledger,
            documents=self.documents,
            clock=self.clock,
            random=random,
            limits=SessionLimits(),
        )
        self.federate = Federate(
            providers={"idp": Known("clinic", ISSUER, Demanded(), self.provider)},
            store=store,
            ledger=self.ledger,
            documents=self.documents,
            sessions=self.sessions,
            notifier=self.notifier,
            clock=self.clock,
            random=random,
            rates=self.rates,
            key=bytes(32),
        )

    async def ready(self) -> Scene:
        """Open the logs, and let Ann and Bea join."""
        for log in (SYSTEM_LOG, "clinic"):
            await self.ledger.open_log(log, f"x/{log}")
        await self.join("ann", {"issuer": ISSUER, "subject": "ann@id"})
        await self.join("bea", None)
        return self

    async def join(self, name: str, account: dict[str, str] | None, **more: str) -> None:
        """Let somebody join, or change."""
        spec = {"title": name, "roles": ["auditor"], "account": account, **more}
        by = Principal("user", "olga", "clinic")
        await self.documents.apply(by, [{"kind": "User", "name": name, "spec": spec}])

    async def back(
        self,
        going: Going,
        network: str = "net-1",
        state: str | None = None,
        provider: str = "idp",
    ) -> Back:
        """Come back from the provider."""
        said = self.provider.asked[-1].state if state is None else state
        return await self.federate.finish(
            going.ticket,
            provider=provider,
            state=said,
            code="code",
            issuer=None,
            network=network,
        )

    async def code(self, going: Going, **more: str) -> str:
        """Return how coming back ends: the refusal's code, or `in`."""
        try:
            await self.back(going, **more)
        except Error as error:
            return error.code
        return "in"


async def test_who_comes_back_has_a_session() -> None:
    """Of the person whose document names the account, with two factors, and an entry."""
    scene = await Scene().ready()
    back = await scene.back(await scene.federate.begin("idp", "/reports?x=1", "net-1"))
    caller = await scene.sessions.identify(back.session, "net-1")
    assert ("ann", "/reports?x=1") == (caller.principal.name, back.path)
    assert caller.session is not None
    assert caller.session.has_second_factor
    said = scene.ledger.bodies(SYSTEM_LOG)[-1]
    assert ("session.begin", "openid", "idp", "clinic") == (
        *(said["action"], said["by"], said["provider"]),
        said["for"],
    )
    assert "ann@id" not in str(said)


async def test_a_ticket_counts_once() -> None:
    """Whoever sends the provider's answer again gets nothing."""
    scene = await Scene().ready()
    going = await scene.federate.begin("idp", "/", "net-1")
    assert ["in", "sign-in-refused"] == [await scene.code(going), await scene.code(going)]


async def test_a_ticket_of_another_browser_does_not_fit() -> None:
    """The state is that of one's own ticket (login CSRF), and time ends it."""
    scene = await Scene().ready()
    going = await scene.federate.begin("idp", "/", "net-1")
    assert "sign-in-refused" == await scene.code(going, state="another")
    scene.clock.advance(600)
    assert "ceremony-over" == await scene.code(going)


@pytest.mark.parametrize(
    ("subject", "extra", "code"),
    [
        ("bea", {}, "sign-in-refused"),
        ("nobody", {}, "sign-in-refused"),
        ("ann@id", {"amr": ["pwd"]}, "provider-factors"),
        ("ann@id", {"auth_time": None}, "provider-stale"),
    ],
)
async def test_who_may_not_come_in_leaves_an_entry(
    subject: str, extra: dict[str, Any], code: str
) -> None:
    """Somebody unknown, and somebody without two factors; the entry does not say who."""
    scene = await Scene().ready()
    scene.provider.subject, scene.provider.extra = subject, extra
    assert code == await scene.code(await scene.federate.begin("idp", "/", "net-1"))
    said = scene.ledger.bodies(SYSTEM_LOG)[-1]
    assert "session.refused" == said["action"]
    assert subject not in str(said)
    assert {} == scene.ledger.people.sessions


async def test_who_left_does_not_come_in() -> None:
    """Whatever the provider still says."""
    scene = await Scene().ready()
    await scene.join("ann", {"issuer": ISSUER, "subject": "ann@id"}, standing="left")
    assert "sign-in-refused" == await scene.code(await scene.federate.begin("idp", "/", "net-1"))


async def test_an_account_of_two_persons_lets_nobody_in() -> None:
    """Who it is must be plain."""
    scene = await Scene().ready()
    account = ProviderAccount(issuer=ISSUER, subject="ann@id")
    bea = UserSpec(title="bea", roles=frozenset({Role.AUDITOR}), account=account)
    made = Document("User", "bea", 2, bea)
    # No change makes such a document any more: it is from before that was refused.
    body = entry("document.apply", Principal("operator", "terminal", "clinic"), scene.clock)
    await scene.ledger.append("clinic", body, [KeepDocument("clinic", made)])
    await scene.documents.load()
    assert "sign-in-refused" == await scene.code(await scene.federate.begin("idp", "/", "net-1"))


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example"),
        *("javascript:alert(1)", "", "reports", "/a\nb", "/a\\..\\b", "/" + "a" * 600),
    ],
)
async def test_the_way_on_is_on_this_server(path: str) -> None:
    """A path of another place, or of no form, is the front page (open redirect)."""
    scene = await Scene().ready()
    assert "/" == (await scene.back(await scene.federate.begin("idp", path, "net-1"))).path


async def test_factors_are_shown_again_for_one_s_own_session() -> None:
    """The old session ends, the new one is as old and its factor fresh."""
    scene = await Scene().ready()
    first = (await scene.back(await scene.federate.begin("idp", "/", "net-1"))).session
    scene.clock.advance(600)
    session = (await scene.sessions.identify(first, "net-1")).session
    assert session is not None
    going = await scene.federate.begin("idp", "/", "net-1", session, is_again=True)
    assert scene.provider.asked[-1].is_fresh
    caller = await scene.sessions.identify((await scene.back(going)).session, "net-1")
    assert caller.session is not None
    assert (session.began_ms, scene.clock.now_ms()) == (
        caller.session.began_ms,
        caller.session.factor_ms,
    )
    with pytest.raises(Refused):
        await scene.sessions.identify(first, "net-1")


@pytest.mark.parametrize(
    ("network", "extra", "code"),
    [
        ("net-2", {}, "sign-in-refused"),
        ("net-1", {"auth_time": 1_000}, "provider-stale"),
        ("net-1", {"sub": "cy@id"}, "sign-in-refused"),
    ],
)
async def test_another_person_or_place_or_an_old_factor_does_not_step_up(
    network: str, extra: dict[str, Any], code: str
) -> None:
    """Coming from another network, with factors of long ago, or as a colleague."""
    scene = await Scene().ready()
    await scene.join("cy", {"issuer": ISSUER, "subject": "cy@id"})
    first = (await scene.back(await scene.federate.begin("idp", "/", "net-1"))).session
    session = (await scene.sessions.identify(first, "net-1")).session
    going = await scene.federate.begin("idp", "/", "net-1", session, is_again=True)
    scene.provider.extra = extra
    assert code == await scene.code(going, network=network)


async def test_a_session_at_the_provider_is_no_fresh_factor() -> None:
    """Who signed in there hours ago comes in, and has shown no factor of late."""
    scene = await Scene().ready()
    at = scene.clock.now_ms() // 1000 - 3_600
    scene.provider.extra = {"auth_time": at}
    back = await scene.back(await scene.federate.begin("idp", "/", "net-1"))
    session = (await scene.sessions.identify(back.session, "net-1")).session
    assert session is not None
    assert (at * 1000, scene.clock.now_ms()) == (session.factor_ms, session.began_ms)


async def test_who_signed_in_there_yesterday_signs_in_there_again() -> None:
    """However long the provider's own sessions last."""
    scene = await Scene().ready()
    scene.provider.extra = {"auth_time": scene.clock.now_ms() // 1000 - 28_801}
    assert "provider-stale" == await scene.code(await scene.federate.begin("idp", "/", "net-1"))


async def test_an_answer_of_another_provider_does_not_fit() -> None:
    """A ticket counts at the address of the provider that it was begun for (mix-up)."""
    scene = await Scene().ready()
    going = await scene.federate.begin("idp", "/", "net-1")
    assert "sign-in-refused" == await scene.code(going, provider="other")


async def test_the_browser_s_old_session_ends() -> None:
    """Also where it was somebody else's."""
    scene = await Scene().ready()
    first = (await scene.back(await scene.federate.begin("idp", "/", "net-1"))).session
    session = (await scene.sessions.identify(first, "net-1")).session
    await scene.back(await scene.federate.begin("idp", "/", "net-1", session))
    assert 1 == len(scene.ledger.people.sessions)
    with pytest.raises(Refused):
        await scene.sessions.identify(first, "net-1")


async def test_a_session_that_ended_meanwhile_is_not_made_anew() -> None:
    """Neither one that idled out nor one that was ended while the person was away."""
    scene = await Scene().ready()
    first = (await scene.back(await scene.federate.begin("idp", "/", "net-1"))).session
    session = (await scene.sessions.identify(first, "net-1")).session
    going = await scene.federate.begin("idp", "/", "net-1", session, is_again=True)
    await scene.sessions.end_all(Principal("user", "olga", "clinic"), "ann")
    assert "sign-in-refused" == await scene.code(going)
    assert {} == scene.ledger.people.sessions


async def test_a_provider_that_is_down_refuses_and_tells_the_operator_once() -> None:
    """It counts as down when it was asked twice in vain, and no more once it answers."""
    scene = await Scene().ready()
    scene.provider.fault = DOWN
    with pytest.raises(Unavailable):
        await scene.federate.begin("idp", "/", "net-1")
    said = []
    for _ in range(4):
        await scene.federate.check()
        said.append(scene.federate.is_down("clinic"))
    assert [False, True, True, True] == said
    assert ["provider-down"] == [code for code, *_ in scene.notifier.alarms]
    assert not scene.federate.is_down("school")
    scene.provider.fault = None
    await scene.federate.check()
    assert not scene.federate.is_down("clinic")


async def test_no_browser_says_whether_a_provider_is_down() -> None:
    """Whoever makes a request fail, or one succeed, opens and closes nothing."""
    scene = await Scene().ready()
    going = await scene.federate.begin("idp", "/", "net-1")
    scene.provider.fault = DOWN
    assert ["provider-down"] * 3 == [await scene.code(going) for _ in range(3)]
    assert not scene.federate.is_down("clinic")
    for _ in range(2):
        await scene.federate.check()
    scene.provider.fault = None
    await scene.federate.begin("idp", "/", "net-1")
    assert scene.federate.is_down("clinic")


async def test_an_old_check_says_nothing() -> None:
    """Where nobody asks the provider any more, it does not count as down."""
    scene = await Scene().ready()
    scene.provider.fault = DOWN
    for _ in range(2):
        await scene.federate.check()
    scene.clock.advance(180)
    assert not scene.federate.is_down("clinic")


@pytest.mark.parametrize("code", ["", "a\nb", "é", "a" * 2_049])
async def test_a_code_that_is_none_does_not_reach_the_provider(code: str) -> None:
    """Its characters and its length are those of RFC 6749."""
    scene = await Scene().ready()
    going = await scene.federate.begin("idp", "/", "net-1")
    with pytest.raises(Refused) as caught:
        await scene.federate.finish(
            going.ticket,
            provider="idp",
            state=scene.provider.asked[-1].state,
            code=code,
            issuer=None,
            network="net-1",
        )
    assert "sign-in-refused" == caught.value.code


async def test_a_ledger_that_is_down_lets_nobody_in() -> None:
    """No entry, no session."""
    scene = await Scene().ready()
    going = await scene.federate.begin("idp", "/", "net-1")
    scene.ledger.down = Unavailable("ledger-down", "the ledger does not answer", "")
    assert "ledger-down" == await scene.code(going)
    assert {} == scene.ledger.people.sessions


async def test_a_network_that_tries_too_often_waits() -> None:
    """Before the provider is asked anything."""
    scene = await Scene().ready()
    scene.rates.left = 1
    going = await scene.federate.begin("idp", "/", "net-1")
    assert "too-many-tries" == await scene.code(going)
    with pytest.raises(Refused):
        await scene.federate.begin("idp", "/", "net-1")
    assert 1 == len(scene.provider.asked)


async def test_a_provider_that_is_not_known_is_none() -> None:
    """Its name comes from an address that anybody can type."""
    scene = await Scene().ready()
    with pytest.raises(Missing):
        await scene.federate.begin("other", "/", "net-1")
