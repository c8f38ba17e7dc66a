"""The second factor: fresh codes, each once, wrong ones wait, every refusal in the same words."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeRandom, RecordingNotifier
from key_scene import CLINIC, OTHER, KeyScene
from seawall.adapters.second_factor import TimeCodes
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import SYSTEM_LOG, tenant_root
from seawall.app.step_up import FACTOR, CodeStepUp, Proof
from seawall.core.errors import Invalid, Refused, Tampered
from seawall.core.policy.factor import Factor, Tries
from seawall.core.policy.principal import Principal

TERMINAL: Final = Principal("operator", "operator", CLINIC)
CLIENT: Final = Principal("client", "app", CLINIC)
OTHERS: Final = Principal("operator", "operator", OTHER)
OTHERS_CLIENT: Final = Principal("client", "app", OTHER)
SYSTEM: Final = Principal("operator", "operator", SYSTEM_LOG)
WRONG: Final = Proof("olga", "000000")


class Counted:
    """A port that remembers what was asked of it."""

    def __init__(self, port: object, asked: list[str]) -> None:
        self._port = port
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        self._asked.append(name)
        return getattr(self._port, name)


class Yielding:
    """A port that lets others go first at each call, as one over a network does."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def called(*given: Any, **named: Any) -> Any:
            """Wait until whoever else is there had a turn, then do it."""
            await asyncio.sleep(0)
            return await getattr(self._port, name)(*given, **named)

        return called


class AnyCode(TimeCodes):
    """Codes of which every one is right: what is refused then is refused for the name."""

    def step_of(self, _secret: str, _code: str, now_ms: int) -> int:
        """Return the present step."""
        return now_ms // 30_000


class Scene:
    """A key scene with step-up over it."""

    def __init__(self, keys: KeyScene) -> None:
        self.keys = keys
        self.notifier = RecordingNotifier()
        self.step_up = self.replica()
        self.secrets: dict[str, str] = {}

    def replica(self, **other: Any) -> CodeStepUp:
        """Return what another process has; `other` ports in place of the scene's."""
        keys = self.keys
        ports: dict[str, Any] = {
            "store": Yielding(keys.store),
            "ledger": Yielding(keys.ledger),
            "indexing": IndexLedger(store=keys.store, ledger=keys.ledger),
            "keys": keys.ring,
            "factor": TimeCodes(keys.random, "Seawall"),
            "notifier": self.notifier,
            "clock": keys.clock,
        }
        return CodeStepUp(**{**ports, **other})

    async def enrol(
        self, name: str, proof: Proof | None = None, caller: Principal = TERMINAL
    ) -> None:
        """Enrol an operator and keep the secret, as a phone does."""
        uri = await self.step_up.enrol(caller, name, proof)
        self.secrets[name] = pyotp.parse_uri(uri).secret

    def code(self, name: str = "olga", steps: int = 0) -> Proof:
        """Return the code that a phone shows, so many steps from now."""
        at = self.keys.clock.now_ms() // 1000 + 30 * steps
        return Proof(name, pyotp.TOTP(self.secrets[name]).at(at))

    async def refusal(self, proof: Proof | None, caller: Principal = TERMINAL) -> str:
        """Return the code of the refusal; empty if it was accepted."""
        try:
            await self.step_up.require(caller, proof)
        except Refused as refused:
            return refused.code
        return ""

    def outcomes(self) -> list[str]:
        """Return how the tries ended, as the system's log says."""
        return [one["outcome"] for one in self.keys.said("operator.verified", SYSTEM_LOG)]

    def entries(self) -> int:
        """Return how many entries the system's log has."""
        return len(self.keys.ledger.bodies(SYSTEM_LOG))


@pytest.fixture
async def empty() -> Scene:
    """Return a scene in which nobody is enrolled."""
    keys = await KeyScene().open()
    await keys.manager.make(tenant_root(SYSTEM_LOG))
    return Scene(keys)


@pytest.fixture
async def scene(empty: Scene) -> Scene:
    """Return a scene in which olga of the clinic is enrolled."""
    await empty.enrol("olga")
    return empty


async def test_a_fresh_code_shows_the_operator(scene: Scene) -> None:
    """The operator, in the caller's tenant, is who acts from then on."""
    shown = await scene.step_up.require(CLIENT, scene.code())
    assert Principal("operator", "olga", CLINIC) == shown


@pytest.mark.parametrize(("steps", "expected"), [(-2, 1), (-1, 0), (0, 0), (1, 0), (2, 1)])
async def test_a_code_is_good_for_one_step_around_now(
    scene: Scene, steps: int, expected: int
) -> None:
    """A clock may be off by thirty seconds, and not by more."""
    assert ["", "step-up-failed"][expected] == await scene.refusal(scene.code(steps=steps))


async def test_a_code_is_accepted_once(scene: Scene) -> None:
    """Also by another replica, and by a process that begins anew; an older one neither."""
    proof, before = scene.code(), scene.code(steps=-1)
    assert "" == await scene.refusal(proof)
    scene.keys.restart()
    scene.step_up = scene.replica()
    assert ["step-up-failed"] * 2 == [await scene.refusal(one) for one in (proof, before)]
    assert ["accepted", "refused", "refused"] == scene.outcomes()


async def test_of_two_at_once_one_is_accepted(scene: Scene) -> None:
    """Two replicas that read before either wrote: the second sees that it was used."""
    await scene.refusal(Proof("nobody", "000000"))
    proof, other = scene.code(), scene.replica()
    tries = (scene.step_up.require(TERMINAL, proof), other.require(CLIENT, proof))
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert ["Principal", "Refused"] == sorted(type(one).__name__ for one in ended)


async def test_five_wrong_codes_make_the_caller_wait(scene: Scene) -> None:
    """The right code does not help meanwhile; afterwards it does."""
    for _ in range(5):
        assert "step-up-failed" == await scene.refusal(WRONG)
    assert "step-up-failed" == await scene.refusal(scene.code())
    scene.keys.clock.advance(61)
    assert "" == await scene.refusal(scene.code())
    assert [*["refused"] * 4, "waiting", "accepted"] == scene.outcomes()


async def test_nobody_locks_an_operator_out_of_another_way_in(scene: Scene) -> None:
    """Wrong codes of one client count for no other, nor for another tenant's of the same name."""
    await scene.enrol("bob", caller=OTHERS)
    for _ in range(9):
        await scene.refusal(WRONG, CLIENT)
    assert "" == await scene.refusal(scene.code())
    scene.keys.clock.advance(30)
    assert "" == await scene.refusal(scene.code(), Principal("client", "app2", CLINIC))
    assert "" == await scene.refusal(scene.code("bob"), OTHERS_CLIENT)


async def test_tries_while_waiting_do_not_prolong_it(scene: Scene) -> None:
    """Waiting ends, however often somebody tries."""
    for _ in range(20):
        await scene.refusal(WRONG)
    scene.keys.clock.advance(61)
    assert "" == await scene.refusal(scene.code())


@pytest.mark.parametrize("name", ["olga", "nobody"])
async def test_tries_while_waiting_are_no_entries_and_open_nothing(scene: Scene, name: str) -> None:
    """Not in a process that begins anew either: the ledger says that the caller waits."""
    for _ in range(5):
        await scene.refusal(Proof(name, "000000"))
    before = scene.entries()
    scene.keys.restart()
    scene.step_up = scene.replica()
    scene.keys.ledger.keys.reads = 0
    for _ in range(20):
        assert "step-up-failed" == await scene.refusal(Proof(name, "000000"))
    assert (before, 0) == (scene.entries(), scene.keys.ledger.keys.reads)


async def test_many_tries_at_once_are_no_more_tries(scene: Scene) -> None:
    """A hundred wrong codes at once: five are looked at, and then there is a wait."""
    before = scene.entries()
    ended = await asyncio.gather(*(scene.refusal(WRONG) for _ in range(100)))
    assert {"step-up-failed"} == set(ended)
    assert [*["refused"] * 4, "waiting"] == scene.outcomes()
    assert 10 == scene.entries() - before


async def test_many_tries_of_many_replicas_are_no_more_tries(scene: Scene) -> None:
    """What was counted is compared when it is kept: a code is told right only if it counted."""
    replicas = [scene.replica() for _ in range(20)]
    tries = [one.require(TERMINAL, WRONG) for one in replicas * 5]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert {"Refused"} == {type(one).__name__ for one in ended}
    assert [*["refused"] * 4, "waiting"] == scene.outcomes()
    assert "step-up-failed" == await scene.refusal(scene.code())


async def test_a_right_code_does_not_excuse_anothers_wrong_ones(scene: Scene) -> None:
    """Who has a device cannot guess codes of somebody else without end."""
    await scene.enrol("oscar", scene.code())
    for _ in range(4):
        await scene.refusal(WRONG)
    assert "" == await scene.refusal(scene.code("oscar"))
    await scene.refusal(WRONG)
    scene.keys.clock.advance(30)
    assert "step-up-failed" == await scene.refusal(scene.code("oscar"))


@pytest.mark.parametrize(
    "proof",
    [
        *(Proof("olga", code) for code in ("", "12345", "1234567", "١٢٣٤٥٦", "abcdef", "-12345")),
        *(Proof(name, "000000") for name in ("oscar", "", "Olga Smith", "olga\n", "../olga")),
    ],
)
async def test_every_refusal_is_the_same(scene: Scene, proof: Proof) -> None:
    """An unknown operator, a wrong form, a wrong code: nobody learns which; nothing is repeated."""
    with pytest.raises(Refused) as caught:
        await scene.step_up.require(TERMINAL, proof)
    with pytest.raises(Refused) as other:
        await scene.step_up.require(TERMINAL, WRONG)
    assert other.value.args == caught.value.args
    assert "Smith" not in str(scene.keys.ledger.bodies(SYSTEM_LOG))


async def test_without_a_proof_nothing_is_asked(scene: Scene) -> None:
    """It says how to give one."""
    assert "step-up-needed" == await scene.refusal(None)


async def test_a_second_operator_is_enrolled_by_a_first(scene: Scene) -> None:
    """Without a code nobody is; with one the entry says who did it."""
    with pytest.raises(Refused) as caught:
        await scene.enrol("oscar")
    assert "step-up-needed" == caught.value.code
    await scene.enrol("oscar", scene.code())
    assert "" == await scene.refusal(scene.code("oscar"))
    entries = scene.keys.said("operator.enrol", SYSTEM_LOG)
    assert [("olga", True), ("oscar", False)] == [
        (one["operator"], one["first"]) for one in entries
    ]
    assert ["operator", "olga"] == [one["actor"]["name"] for one in entries]


async def test_of_two_first_operators_one_is_enrolled(empty: Scene) -> None:
    """Both saw that nobody was."""
    await empty.keys.ring.prepare(SYSTEM_LOG)
    ended = await asyncio.gather(
        *(empty.replica().enrol(TERMINAL, name, None) for name in ("olga", "oscar")),
        return_exceptions=True,
    )
    assert 1 == sum(isinstance(one, str) for one in ended)
    assert 1 == len(empty.keys.said("operator.enrol", SYSTEM_LOG))


async def test_the_first_operator_is_enrolled_at_the_terminal(empty: Scene) -> None:
    """No client makes one, whatever its document says; another tenant's operator helps nothing."""
    await empty.enrol("bob", caller=OTHERS)
    for proof in (None, empty.code("bob")):
        with pytest.raises(Refused) as caught:
            await empty.enrol("olga", proof, CLIENT)
        assert "enrol-at-terminal" == caught.value.code
    assert [False, True] == [await empty.step_up.has_operators(one) for one in (CLINIC, OTHER)]


async def test_a_client_enrols_a_further_operator_by_one_who_is(scene: Scene) -> None:
    """With a fresh code of one of the same tenant."""
    with pytest.raises(Refused) as caught:
        await scene.enrol("oscar", WRONG, CLIENT)
    assert "step-up-failed" == caught.value.code
    await scene.enrol("oscar", scene.code(), CLIENT)
    assert "" == await scene.refusal(scene.code("oscar"), CLIENT)


async def test_a_client_replaces_nobodys_factor(scene: Scene) -> None:
    """Not even with that operator's own code; the old device goes on."""
    with pytest.raises(Refused) as caught:
        await scene.step_up.enrol(CLIENT, "olga", scene.code())
    assert "enrol-at-terminal" == caught.value.code
    scene.keys.clock.advance(30)
    assert "" == await scene.refusal(scene.code(), CLIENT)


@pytest.mark.parametrize("caller", [OTHERS, OTHERS_CLIENT])
async def test_an_operator_acts_for_no_other_tenant(scene: Scene, caller: Principal) -> None:
    """Neither does their code enrol somebody there, at the terminal nor over the API."""
    await scene.enrol("bob", caller=OTHERS)
    assert "step-up-failed" == await scene.refusal(scene.code(), caller)
    with pytest.raises(Refused) as caught:
        await scene.step_up.enrol(caller, "eve", scene.code())
    assert "step-up-failed" == caught.value.code


async def test_a_name_is_a_tenants_own(scene: Scene) -> None:
    """Two tenants have an olga each: neither's device shows the other."""
    here = scene.secrets["olga"]
    await scene.enrol("olga", caller=OTHERS)
    there = scene.code()
    scene.secrets["olga"] = here
    assert ["step-up-failed", ""] == [
        await scene.refusal(proof, OTHERS) for proof in (scene.code(), there)
    ]


async def test_a_factor_in_anothers_place_is_tampered(scene: Scene) -> None:
    """Who can write rows cannot make one tenant's operator another's."""
    held = await scene.keys.store.sealed(SYSTEM_LOG, FACTOR, f"{CLINIC}/olga")
    assert held is not None
    scene.keys.ledger.kept[SYSTEM_LOG, FACTOR, f"{OTHER}/olga"] = held
    with pytest.raises(Tampered) as caught:
        await scene.step_up.require(OTHERS, scene.code())
    assert "factor-moved" == caught.value.code


async def test_an_operator_of_the_system_acts_for_all_at_the_terminal(empty: Scene) -> None:
    """Over the API for none: there the name is as unknown as any."""
    await empty.enrol("sam", caller=SYSTEM)
    empty.secrets["system.sam"] = empty.secrets["sam"]
    shown = await empty.step_up.require(OTHERS, empty.code("system.sam"))
    assert Principal("operator", "system.sam", OTHER) == shown
    empty.keys.clock.advance(30)
    refused = [await empty.refusal(empty.code(name), CLIENT) for name in ("system.sam", "sam")]
    assert ["step-up-failed"] * 2 == refused


async def test_the_system_has_its_first_operator_before_any_tenant(scene: Scene) -> None:
    """Else anybody at the terminal could get round a tenant's operators."""
    for proof in (None, scene.code()):
        with pytest.raises(Refused) as caught:
            await scene.enrol("sam", proof, SYSTEM)
        assert "system-operator-late" == caught.value.code


async def test_each_enrolment_raises_an_alarm(scene: Scene) -> None:
    """The first, a further one and a replacement; what is refused raises none."""
    await scene.enrol("oscar", scene.code(), CLIENT)
    await scene.enrol("olga", scene.code("oscar"))
    with pytest.raises(Refused):
        await scene.enrol("eve", WRONG)
    bodies = scene.keys.ledger.bodies(SYSTEM_LOG)
    assert {("operator-enrolled", SYSTEM_LOG)} == {one[:2] for one in scene.notifier.alarms}
    told = [bodies[one[2] or 0] for one in scene.notifier.alarms]
    assert [("olga", False), ("oscar", False), ("olga", True)] == [
        (one["operator"], one["replaced"]) for one in told
    ]


@pytest.mark.parametrize("name", ["", "nobody", "Olga", "system.sam"])
async def test_no_code_shows_an_unknown_operator(scene: Scene, name: str) -> None:
    """Not even one that is right for the secret that is opened in the place of theirs."""
    await scene.refusal(Proof("nobody", "000000"))
    scene.step_up = scene.replica(factor=AnyCode(scene.keys.random, "Seawall"))
    assert ["step-up-failed", ""] == [
        await scene.refusal(Proof(who, "000000")) for who in (name, "olga")
    ]


async def test_an_unknown_operator_costs_the_same_work(scene: Scene) -> None:
    """The same reads, entries, openings, comparisons and sealings, in the same order."""
    asked: list[str] = []
    keys, factor = scene.keys, TimeCodes(scene.keys.random, "Seawall")
    ports = {"store": keys.store, "ledger": keys.ledger, "keys": keys.ring, "factor": factor}
    scene.step_up = scene.replica(**{name: Counted(port, asked) for name, port in ports.items()})
    works: list[list[str]] = []
    for name in ("nobody", "olga", "oscar", "Olga Smith", "system.sam"):
        asked.clear()
        assert "step-up-failed" == await scene.refusal(Proof(name, "000000"), CLIENT)
        works.append(list(asked))
    # The first try of a caller has nothing that was counted before, whoever is named.
    assert [works[1]] * 3 == works[2:]
    assert ["append", "open", "open", "step_of", "seal", "append"] == works[1][-6:]


async def test_a_new_factor_replaces_the_old_one(scene: Scene) -> None:
    """A phone that was lost shows nobody any more."""
    await scene.enrol("oscar", scene.code())
    old = dict(scene.secrets)
    await scene.enrol("olga", scene.code("oscar"))
    lost = Proof("olga", pyotp.TOTP(old["olga"]).at(scene.keys.clock.now_ms() // 1000))
    assert ["step-up-failed", ""] == [await scene.refusal(lost), await scene.refusal(scene.code())]


@pytest.mark.parametrize("name", ["", "Olga", "olga smith", "a" * 64, "system.olga"])
async def test_an_operator_has_a_documents_name(scene: Scene, name: str) -> None:
    """What entries say must hold no free text."""
    with pytest.raises(Invalid) as caught:
        await scene.enrol(name, scene.code())
    assert "operator-name" == caught.value.code


async def test_the_secret_is_sealed_and_opened_by_an_entry(scene: Scene) -> None:
    """It lies nowhere in plain, and each opening has its grant."""
    held = await scene.keys.store.sealed(SYSTEM_LOG, FACTOR, f"{CLINIC}/olga")
    assert held is not None
    assert scene.secrets["olga"].encode() not in bytes(held)
    assert scene.secrets["olga"] not in str(scene.keys.ledger.bodies(SYSTEM_LOG))
    await scene.refusal(scene.code())
    (opened,) = scene.keys.said("operator.verify", SYSTEM_LOG)
    assert ["operator.factor", "operator.tries"] == opened["grant"]["kinds"]


async def test_a_tenants_shredding_leaves_the_operators(scene: Scene) -> None:
    """Their factors are under the system's own keys."""
    await scene.keys.shredding.tenant(TERMINAL, CLINIC, "other")
    assert "" == await scene.refusal(scene.code())


def test_codes_are_those_of_rfc_6238() -> None:
    """Appendix B, SHA-1, cut to six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    codes = TimeCodes(FakeRandom(), "Seawall")
    vectors = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
    for seconds, code in vectors.items():
        assert seconds // 30 == codes.step_of(secret, code, seconds * 1000)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12)), max_size=20))
def test_tries_read_as_they_were_written(misses: list[tuple[str, int]]) -> None:
    """Whatever was missed; and a factor whatever was used."""
    tries = Tries()
    for operator, at_ms in misses:
        tries = tries.missed(operator, at_ms)
        assert Factor("SECRET", at_ms) == Factor.from_json(Factor("SECRET", at_ms).to_json())
    assert tries == Tries.from_json(tries.to_json())


def test_waits_double_and_have_an_end() -> None:
    """A minute, two, four; at most a day; whosever the codes were said to be."""
    waits = [Tries({"": 2, "a": count - 2}, 0).until_ms() for count in (4, 5, 6, 7, 100)]
    assert [0, 60_000, 120_000, 240_000, 86_400_000] == waits


def test_wrong_codes_are_forgotten_a_day_after_the_wait() -> None:
    """Not before, and not by waiting alone."""
    tries = Tries({"a": 5}, 0)
    later = [tries.missed("a", 86_400_000 + after).misses for after in (59_999, 60_000)]
    assert [{"a": 6}, {"a": 1}] == later


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"secret": "A", "misses": [], "at": 1}'])
@pytest.mark.parametrize("form", [Factor, Tries])
def test_what_has_another_form_is_tampered(form: type[Factor | Tries], raw: bytes) -> None:
    """It is never read as if nothing was used or missed."""
    with pytest.raises(Tampered) as caught:
        form.from_json(raw)
    assert "factor-malformed" == caught.value.code
