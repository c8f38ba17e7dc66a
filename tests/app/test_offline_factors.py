"""Signing in while the provider is down: made in advance, once each, alarmed and reviewed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pyotp
import pytest

from emergency_scene import NETWORK, EmergencyScene
from key_scene import ANN, CLINIC
from seawall.app.entries import entry
from seawall.app.offline_factors import FACTOR, MadeKit, SignedInOffline
from seawall.app.ports import SYSTEM_LOG
from seawall.app.try_limits import Where
from seawall.core.errors import Conflict, Error, Missing, Refused, Tampered, Unavailable
from seawall.core.policy.principal import Principal

WHERE = Where(NETWORK)
WHY = "the identity provider is down, and so is the line to it"


@dataclass
class Kit:
    """What Carla has: the paper, and the device."""

    scene: EmergencyScene
    made: MadeKit

    def device(self, steps: int = 0) -> str:
        """Return the code that the device shows, so many steps from now."""
        secret = pyotp.parse_uri(self.made.uri).secret
        return pyotp.TOTP(secret).at(self.scene.clock.now_ms() // 1000 + 30 * steps)

    async def use(self, which: int = 0, replica: Any = None, **said: str) -> SignedInOffline:
        """Sign in by a code of the paper and the device's; `said` in their place."""
        given = {"name": f"{CLINIC}/carla", "code": self.made.codes[which], "device": self.device()}
        given |= said
        offline = (replica or self.scene.one).offline
        found: SignedInOffline = await offline.sign_in(
            WHERE, given["name"], given["code"], given["device"]
        )
        return found

    async def refusal(self, which: int = 0, replica: Any = None, **said: Any) -> str:
        """Return the code of the refusal; empty if it was accepted."""
        try:
            await self.use(which, replica, **said)
        except Error as error:
            return error.code
        return ""


@pytest.fixture
async def kit() -> Kit:
    """Return the factor that Carla made, of a clinic whose provider does not answer now."""
    scene = await EmergencyScene().open()
    made = await scene.one.offline.make(scene.caller("carla"))
    scene.down.add(CLINIC)
    return Kit(scene, made)


async def test_a_code_of_each_signs_in_while_the_provider_is_down(kit: Kit) -> None:
    """The session has two factors, says that it is offline, and breaks the glass."""
    done = await kit.use()
    caller = await kit.scene.one.sessions.identify(done.session, NETWORK)
    assert caller.session is not None
    assert ("mfa", "offline", "otp") == caller.session.methods
    await kit.scene.one.glass.begin(caller, kit.scene.asked(reason="provider-down"))
    assert ANN == kit.scene.one.current.patient_of(caller)
    began = [one["what"] for one in kit.scene.said("emergency.begin")]
    assert ["offline", "access"] == began


async def test_nobody_signs_in_so_while_the_provider_answers(kit: Kit) -> None:
    """What is right is not even opened."""
    kit.scene.down.clear()
    assert "offline-closed" == await kit.refusal()
    assert [] == kit.scene.said("sign-in.attempt", SYSTEM_LOG)


async def test_emergency_mode_opens_it_too(kit: Kit) -> None:
    """And its end closes it."""
    kit.scene.down.clear()
    sam = kit.scene.caller("sam")
    await kit.scene.one.mode.begin(sam, "disaster", WHY)
    codes = [await kit.refusal()]
    await kit.scene.one.mode.end(sam, WHY)
    kit.scene.clock.advance(60)
    codes.append(await kit.refusal(1))
    assert ["", "offline-closed"] == codes


async def test_another_tenants_outage_opens_nothing_here(kit: Kit) -> None:
    """Each tenant has its own provider."""
    kit.scene.down.clear()
    kit.scene.down.add("other")
    assert "offline-closed" == await kit.refusal()


async def test_a_code_of_the_paper_works_once(kit: Kit) -> None:
    """On whichever replica; the next one does, with another code of the device."""
    await kit.use()
    kit.scene.clock.advance(60)
    codes = [await kit.refusal(0, replica) for replica in (kit.scene.one, kit.scene.two)]
    left = (await kit.use(1)).left
    assert (["sign-in-refused", "sign-in-refused"], 3) == (codes, left)


async def test_a_code_of_the_device_works_once(kit: Kit) -> None:
    """Nor does an older one."""
    kit.scene.clock.advance(60)
    await kit.use()
    again = await kit.refusal(1)
    older = await kit.refusal(1, device=kit.device(-1))
    assert ("sign-in-refused", "sign-in-refused") == (again, older)


async def test_of_two_tries_at_once_one_is_accepted(kit: Kit) -> None:
    """By comparing what was read when it is kept."""
    tries = [kit.refusal(0, replica) for replica in (kit.scene.one, kit.scene.two)]
    assert ["", "sign-in-refused"] == sorted(await asyncio.gather(*tries))
    assert 1 == len(kit.scene.ledger.people.sessions)


@pytest.mark.parametrize(
    "said",
    [
        {"code": "aaaa-bbbb-cccc-dddd-eeee-ffff"},
        {"code": ""},
        {"device": "000000"},
        {"device": ""},
        {"name": f"{CLINIC}/cyrus"},
        {"name": f"{CLINIC}/nobody"},
        {"name": f"{CLINIC}/*"},
    ],
)
async def test_whatever_is_wrong_is_refused_in_the_same_words(
    kit: Kit, said: dict[str, Any]
) -> None:
    """After as many entries, which name nobody who does not exist."""
    size = len(kit.scene.ledger.bodies(SYSTEM_LOG))
    codes = [await kit.refusal(**said), await kit.refusal(**said)]
    names = {one["person"] for one in kit.scene.said("sign-in.outcome", SYSTEM_LOG)}
    is_decoy = len(kit.scene.ledger.bodies(SYSTEM_LOG)) - size - 4
    assert (["sign-in-refused"] * 2, True) == (codes, is_decoy in {0, 1})
    assert names <= {"carla", "unknown"}


async def test_what_people_put_between_letters_does_not_matter(kit: Kit) -> None:
    """Read from paper in a hurry."""
    typed = kit.made.codes[0].replace("-", " ").upper()
    assert 4 == (await kit.use(code=typed)).left


async def test_who_left_signs_in_no_more(kit: Kit) -> None:
    """The document decides, as at every sign-in."""
    spec = {"title": "Carla", "roles": ["clinician"], "standing": "suspended"}
    document = {"kind": "User", "name": "carla", "spec": spec}
    await kit.scene.one.documents.apply(Principal("operator", "tests", CLINIC), [document])
    assert "sign-in-refused" == await kit.refusal()


async def test_tries_are_bounded_before_anything_is_opened(kit: Kit) -> None:
    """A stranger cannot fill the ledger."""
    kit.scene.gate.left = 0
    assert "sign-in-limited" == await kit.refusal()
    assert [] == kit.scene.said("sign-in.attempt", SYSTEM_LOG)


async def test_a_use_alarms_and_is_reviewed(kit: Kit) -> None:
    """It is in the tenant's log too, by an emergency of its own sort."""
    await kit.use()
    [said] = kit.scene.said("emergency.begin")
    assert ("offline", "provider-down", []) == (said["what"], said["reason"], said["patients"])
    before = kit.scene.one.history.due(CLINIC)
    kit.scene.clock.advance(8 * 3_600)
    due = kit.scene.one.history.due(CLINIC)
    assert ([], ["review the offline sign-in"]) == (before, [one.what for one in due])
    assert "offline-sign-in" in kit.scene.alarms
    await kit.scene.one.reviews.review(kit.scene.caller("pia"), said["emergency"], "unclear", WHY)
    assert [] == kit.scene.one.history.due(CLINIC)


async def test_a_session_needs_the_obligation_first(kit: Kit) -> None:
    """If the tenant's log does not take it, what was right is spent and nobody is signed in."""
    kit.scene.ledger.failing["emergency.begin"] = Unavailable("ledger-down", "no answer")
    assert ("ledger-down", {}) == (await kit.refusal(), kit.scene.ledger.people.sessions)
    del kit.scene.ledger.failing["emergency.begin"]
    kit.scene.clock.advance(60)
    assert ["sign-in-refused", ""] == [await kit.refusal(0), await kit.refusal(1)]


class Once(dict[str, Error]):
    """Faults of which each happens once."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a fault, and forget it."""
        return self.pop(key, default)


async def test_a_use_that_another_process_told_first_takes_the_next_id(kit: Kit) -> None:
    """What was right is spent by then, so it is told again and not refused."""
    kit.scene.ledger.failing = Once({"emergency.begin": Conflict("version-exists", "it exists")})
    await kit.use()
    begun, sessions = kit.scene.said("emergency.begin"), kit.scene.ledger.people.sessions
    assert (1, 1) == (len(begun), len(sessions))


async def test_a_use_that_cannot_be_told_signs_nobody_in(kit: Kit) -> None:
    """After three tries to keep the document it is given up."""
    kit.scene.ledger.failing["emergency.begin"] = Conflict("version-exists", "it exists")
    assert ("version-exists", {}) == (await kit.refusal(), kit.scene.ledger.people.sessions)


async def test_two_unknown_names_at_once_open_one_decoy(kit: Kit) -> None:
    """Whoever makes it first."""
    tries = [
        kit.refusal(0, replica, name=f"{CLINIC}/nobody")
        for replica in (kit.scene.one, kit.scene.two)
    ]
    assert ["sign-in-refused"] * 2 == await asyncio.gather(*tries)
    made = [one["person"] for one in kit.scene.said("offline.enrol", SYSTEM_LOG)]
    assert ["carla", "nobody"] == made


async def test_a_factor_that_was_used_is_to_be_made_anew(kit: Kit) -> None:
    """That is the person's own obligation, until it is done."""
    offline = kit.scene.one.offline
    before = await offline.due(CLINIC)
    await kit.use()
    await kit.scene.one.glass.begin(kit.scene.caller("cyrus"), kit.scene.asked())
    [due] = await offline.due(CLINIC)
    kit.scene.clock.advance(3600)
    await offline.make(kit.scene.caller("carla"))
    assert ([], "user/carla", []) == (before, due.whose, await offline.due(CLINIC))


async def test_a_new_factor_replaces_the_old(kit: Kit) -> None:
    """No code of the old paper works."""
    anew = Kit(kit.scene, await kit.scene.one.offline.make(kit.scene.caller("carla")))
    assert "sign-in-refused" == await kit.refusal(1)
    assert "sign-in-refused" == await kit.refusal(1, device=anew.device())
    assert [False, True] == [one["replaced"] for one in kit.scene.said("offline.enrol", SYSTEM_LOG)]
    assert 4 == (await anew.use()).left


async def test_codes_are_shown_once_and_kept_nowhere(kit: Kit) -> None:
    """What is sealed are digests, and the entry says how many and no more."""
    recorded = b"".join(kit.scene.ledger.logs[SYSTEM_LOG].entries)
    shown = [*kit.made.codes, pyotp.parse_uri(kit.made.uri).secret]
    assert not any(one.encode() in recorded or one in repr(kit.made) for one in shown)
    assert 5 == len(set(kit.made.codes))


@pytest.mark.parametrize("how", ["client", "stale", "one factor", "offline"])
async def test_it_is_made_in_a_usual_session_just_after_a_factor(kit: Kit, how: str) -> None:
    """An offline session makes none: of a paper that was stolen no other follows."""
    caller = kit.scene.caller("carla", factor_age_ms=301_000 if how == "stale" else 0)
    usual = caller.session
    assert usual is not None
    if how == "client":
        caller = replace(caller, principal=Principal("client", "app", CLINIC), session=None)
    elif how == "one factor":
        one_factor = replace(usual, methods=("pwd",))
        caller = replace(caller, session=one_factor)
    elif how == "offline":
        caller = await kit.scene.one.sessions.identify((await kit.use()).session, NETWORK)
    with pytest.raises(Refused, match=r"step-up-needed|offline-factor-session"):
        await kit.scene.one.offline.make(caller)


async def test_a_factor_in_anothers_place_is_an_incident(kit: Kit) -> None:
    """Whoever writes to the database gives nobody another's factor."""
    kept = kit.scene.ledger.kept
    kept[SYSTEM_LOG, FACTOR, f"{CLINIC}/pia"] = kept[SYSTEM_LOG, FACTOR, f"{CLINIC}/carla"]
    with pytest.raises(Tampered, match="offline-factor-moved"):
        await kit.use(name=f"{CLINIC}/pia")


async def carla_is(kit: Kit, standing: str) -> None:
    """Apply Carla's document."""
    spec = {"title": "Carla", "roles": ["clinician"], "standing": standing}
    document = {"kind": "User", "name": "carla", "spec": spec}
    await kit.scene.one.documents.apply(Principal("operator", "tests", CLINIC), [document])


async def test_who_was_suspended_makes_a_new_one(kit: Kit) -> None:
    """What was made before does not sign in when the person is back."""
    await carla_is(kit, "suspended")
    await carla_is(kit, "active")
    before = await kit.refusal()
    kit.scene.clock.advance(60)
    anew = Kit(kit.scene, await kit.scene.one.offline.make(kit.scene.caller("carla")))
    assert ("sign-in-refused", "") == (before, await anew.refusal())


async def test_a_change_of_roles_ends_none(kit: Kit) -> None:
    """Only leaving and suspending do."""
    spec = {"title": "Carla", "roles": ["clinician", "developer"]}
    document = {"kind": "User", "name": "carla", "spec": spec}
    await kit.scene.one.documents.apply(Principal("operator", "tests", CLINIC), [document])
    assert "" == await kit.refusal()


async def test_an_officer_ends_it_with_the_sessions(kit: Kit) -> None:
    """For somebody who lost the paper, and has no other factor here."""
    await kit.use()
    kit.scene.clock.advance(60)
    sam = Principal("user", "sam", CLINIC)
    index = await kit.scene.one.offline.end(sam, "carla", {"allowed": True})
    [said] = kit.scene.said("offline.end", SYSTEM_LOG)
    assert ("carla", CLINIC, "sam") == (said["person"], said["for"], said["actor"]["name"])
    assert ("sign-in-refused", {}) == (await kit.refusal(1), kit.scene.ledger.people.sessions)
    assert ("factors-reset", CLINIC, index) == kit.scene.notifier.alarms[-1]


@pytest.mark.parametrize("name", ["cyrus", "nobody", "*"])
async def test_who_has_none_has_none_ended(kit: Kit, name: str) -> None:
    """Nor is the decoy anybody's."""
    sam = Principal("user", "sam", CLINIC)
    with pytest.raises(Missing, match="offline-factor-none"):
        await kit.scene.one.offline.end(sam, name, {"allowed": True})


async def test_making_one_is_an_alarm(kit: Kit) -> None:
    """Its owner hears of one that somebody else made in the owner's session."""
    [said] = kit.scene.said("offline.enrol", SYSTEM_LOG)
    assert ["factors-changed"] == kit.scene.alarms
    assert "carla" == said["person"]


async def test_it_is_not_reviewed_before_its_session_is_over(kit: Kit) -> None:
    """What the session did until then is counted, and is somebody's to review."""
    done = await kit.use()
    pia, name = kit.scene.caller("pia"), kit.scene.said("emergency.begin")[0]["emergency"]
    with pytest.raises(Conflict, match="emergency-state"):
        await kit.scene.one.reviews.review(pia, name, "appropriate", WHY)
    kit.scene.clock.advance(600)
    carla = await kit.scene.one.sessions.identify(done.session, NETWORK)
    body = entry("phi.open", carla.principal, kit.scene.clock, patients=[ANN])
    await kit.scene.ledger.append(CLINIC, body)
    kit.scene.clock.advance(8 * 3_600)
    assert {"phi.open": 1} == (await kit.scene.one.history.told(CLINIC, name)).did


async def test_a_use_whose_obligation_is_in_doubt_is_alarmed(kit: Kit) -> None:
    """It may be in the ledger though nobody said so."""
    kit.scene.ledger.failing["emergency.begin"] = Unavailable("ledger-slow", "no answer")
    assert "ledger-slow" == await kit.refusal()
    assert ("offline-sign-in", CLINIC, None) == kit.scene.notifier.alarms[-1]
