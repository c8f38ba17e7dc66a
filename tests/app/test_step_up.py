"""The second factor: fresh codes, each once, wrong ones wait, every refusal in the same words."""

from __future__ import annotations

import asyncio
from typing import Final

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeRandom
from key_scene import CLINIC, OTHER, KeyScene
from seawall.adapters.second_factor import TimeCodes
from seawall.app.ports import SYSTEM_LOG, tenant_root
from seawall.app.step_up import FACTOR, CodeStepUp, Proof
from seawall.core.errors import Invalid, Refused, Tampered
from seawall.core.policy.factor import Factor, Misses
from seawall.core.policy.principal import Principal

TERMINAL: Final = Principal("operator", "operator", CLINIC)
CLIENT: Final = Principal("client", "app", CLINIC)


class Scene:
    """A key scene with step-up over it."""

    def __init__(self, keys: KeyScene) -> None:
        self.keys = keys
        self.step_up = self.replica()
        self.secrets: dict[str, str] = {}

    def replica(self) -> CodeStepUp:
        """Return what another process has."""
        return CodeStepUp(
            store=self.keys.store,
            ledger=self.keys.ledger,
            keys=self.keys.ring,
            factor=TimeCodes(self.keys.random, "Seawall"),
            clock=self.keys.clock,
        )

    async def enrol(self, name: str, proof: Proof | None = None) -> None:
        """Enrol an operator and keep the secret, as a phone does."""
        uri = await self.step_up.enrol(TERMINAL, name, proof)
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


@pytest.fixture
async def scene() -> Scene:
    """Return a scene in which olga is enrolled."""
    keys = await KeyScene().open()
    await keys.manager.make(tenant_root(SYSTEM_LOG))
    made = Scene(keys)
    await made.enrol("olga")
    return made


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
    proof, other = scene.code(), scene.replica()
    tries = (scene.step_up.require(TERMINAL, proof), other.require(CLIENT, proof))
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert ["Principal", "Refused"] == sorted(type(one).__name__ for one in ended)


async def test_five_wrong_codes_make_the_caller_wait(scene: Scene) -> None:
    """The right code does not help meanwhile; afterwards it does."""
    wrong = Proof("olga", "000000")
    for _ in range(5):
        assert "step-up-failed" == await scene.refusal(wrong)
    assert "step-up-failed" == await scene.refusal(scene.code())
    scene.keys.clock.advance(61)
    assert "" == await scene.refusal(scene.code())
    assert [*["refused"] * 5, "waiting", "accepted"] == scene.outcomes()


async def test_nobody_locks_an_operator_out_of_another_way_in(scene: Scene) -> None:
    """Wrong codes of one client do not count for the terminal, nor for another tenant's client."""
    for _ in range(9):
        await scene.refusal(Proof("olga", "000000"), CLIENT)
    assert "" == await scene.refusal(scene.code())
    scene.keys.clock.advance(30)
    assert "" == await scene.refusal(scene.code(), Principal("client", "app", OTHER))


async def test_tries_while_waiting_do_not_prolong_it(scene: Scene) -> None:
    """Waiting ends, however often somebody tries."""
    for _ in range(20):
        await scene.refusal(Proof("olga", "000000"))
    scene.keys.clock.advance(61)
    assert "" == await scene.refusal(scene.code())


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
        await scene.step_up.require(TERMINAL, Proof("olga", "000000"))
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


async def test_of_two_first_operators_one_is_enrolled() -> None:
    """Both saw that nobody was."""
    keys = await KeyScene().open()
    await keys.manager.make(tenant_root(SYSTEM_LOG))
    scene = Scene(keys)
    await keys.ring.prepare(SYSTEM_LOG)
    ended = await asyncio.gather(
        *(scene.replica().enrol(TERMINAL, name, None) for name in ("olga", "oscar")),
        return_exceptions=True,
    )
    assert 1 == sum(isinstance(one, str) for one in ended)
    assert 1 == len(keys.said("operator.enrol", SYSTEM_LOG))


async def test_a_new_factor_replaces_the_old_one(scene: Scene) -> None:
    """A phone that was lost shows nobody any more."""
    await scene.enrol("oscar", scene.code())
    old = dict(scene.secrets)
    await scene.enrol("olga", scene.code("oscar"))
    lost = Proof("olga", pyotp.TOTP(old["olga"]).at(scene.keys.clock.now_ms() // 1000))
    assert ["step-up-failed", ""] == [await scene.refusal(lost), await scene.refusal(scene.code())]


@pytest.mark.parametrize("name", ["", "Olga", "olga smith", "a" * 64])
async def test_an_operator_has_a_documents_name(scene: Scene, name: str) -> None:
    """What entries say must hold no free text."""
    with pytest.raises(Invalid) as caught:
        await scene.enrol(name, scene.code())
    assert "operator-name" == caught.value.code


async def test_the_secret_is_sealed_and_opened_by_an_entry(scene: Scene) -> None:
    """It lies nowhere in plain, and each opening has its grant."""
    held = await scene.keys.store.sealed(SYSTEM_LOG, FACTOR, "olga")
    assert held is not None
    assert scene.secrets["olga"].encode() not in bytes(held)
    assert scene.secrets["olga"] not in str(scene.keys.ledger.bodies(SYSTEM_LOG))
    await scene.refusal(scene.code())
    (opened,) = scene.keys.said("operator.verify", SYSTEM_LOG)
    assert ["operator.factor"] == opened["grant"]["kinds"]


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
def test_a_factor_reads_as_it_was_written(misses: list[tuple[str, int]]) -> None:
    """Whatever was missed."""
    factor = Factor("SECRET", 7)
    for caller, at_ms in misses:
        factor = factor.missed(caller, at_ms)
    assert factor == Factor.from_json(factor.to_json())


def test_waits_double_and_have_an_end() -> None:
    """A minute, two, four; at most a day."""
    waits = [Misses(count, 0).until_ms() for count in (4, 5, 6, 7, 100)]
    assert [0, 60_000, 120_000, 240_000, 86_400_000] == waits


def test_callers_are_bounded() -> None:
    """Fifty are remembered, the newest."""
    factor = Factor("SECRET")
    for number in range(80):
        factor = factor.missed(str(number), number)
    assert 50 == len(factor.misses)
    assert ("29" in factor.misses, "30" in factor.misses) == (False, True)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"secret": "A", "used": 1, "misses": []}'])
def test_a_factor_of_another_form_is_tampered(raw: bytes) -> None:
    """It is never read as one without misses."""
    with pytest.raises(Tampered) as caught:
        Factor.from_json(raw)
    assert "factor-malformed" == caught.value.code
