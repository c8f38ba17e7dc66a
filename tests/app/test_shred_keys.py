"""Shredding over fakes: what is shredded opens nowhere, the rest does, and it is all recorded."""

from __future__ import annotations

from typing import Any, Final

import pytest

from fake_keys import RECEIPT_KEY, MemoryKeys
from key_scene import ANN, BEN, CLINIC, KIND, OPERATOR, OTHER, KeyScene, Strict, body_of
from seawall.adapters.keys.ring import EnvelopeKeyRing
from seawall.app.ports import tenant_root
from seawall.core.errors import Error, Invalid, Missing, Refused, Unavailable
from seawall.core.ledger.checkpoint import open_checkpoint
from seawall.core.policy.principal import Principal

STEPS: Final = 8
"""How many steps the shredding of a patient has."""
ROTATED: Final = 5
"""After which of them the root key is rotated, and nothing says so yet."""


class CrashError(Exception):
    """The process ended here."""


def older_backup(scene: KeyScene) -> EnvelopeKeyRing:
    """Return a ring over a copy of every wrapped key as it is now, and the same key manager."""
    kept = MemoryKeys()
    kept.held = dict(scene.ledger.keys.held)
    kept.tenants = dict(scene.ledger.keys.tenants)
    return EnvelopeKeyRing(
        manager=scene.manager,
        operator=None,
        keys=kept,
        receipt_key=RECEIPT_KEY,
        clock=scene.clock,
        random=scene.random,
    )


async def refused(scene: KeyScene, tenant: str, patient: str, ring: Any = None) -> str:
    """Return the code with which opening fails; empty if it opens."""
    try:
        await scene.opens(tenant, patient, ring)
    except Error as error:
        return error.code
    return ""


async def test_a_shredded_patient_opens_no_more() -> None:
    """Not by the service, and not from an older copy of every wrapped key."""
    scene = await KeyScene().open()
    backup = older_backup(scene)
    assert "" == await refused(scene, CLINIC, ANN, older_backup(scene))
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "relationship-ended")
    assert "data-key-missing" == await refused(scene, CLINIC, ANN)
    assert "root-key-missing" == await refused(scene, CLINIC, ANN, backup)


async def test_the_surviving_patient_and_the_other_tenant_open() -> None:
    """Also in a process that begins anew; new things can be sealed."""
    scene = await KeyScene().open()
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "relationship-ended")
    scene.restart()
    assert ["", "", ""] == [
        await refused(scene, tenant, patient)
        for tenant, patient in ((CLINIC, BEN), (OTHER, ANN), (OTHER, BEN))
    ]
    await scene.seal(CLINIC, "c" * 24)
    assert await scene.opens(CLINIC, "c" * 24)


async def test_an_older_copy_opens_the_survivors_no_more_either() -> None:
    """The copies of keys are rewritten, because what is older died with the root versions."""
    scene = await KeyScene().open()
    backup = older_backup(scene)
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert "root-key-missing" == await refused(scene, CLINIC, BEN, backup)
    assert [(BEN, 2)] == [
        (key.subject, key.tenant_key_version) for key in scene.copies.held[CLINIC]
    ]


async def test_a_shredded_tenant_opens_no_more() -> None:
    """Nothing of it, from nowhere; it gets no keys any more; the other one is as before."""
    scene = await KeyScene().open()
    backup = older_backup(scene)
    await scene.shredding.tenant(OPERATOR, CLINIC, "relationship-ended")
    assert {} == scene.manager.roots[tenant_root(CLINIC)]
    assert ["root-key-missing"] * 2 == [
        await refused(scene, CLINIC, patient, backup) for patient in (ANN, BEN)
    ]
    with pytest.raises(Refused) as caught:
        await scene.seal(CLINIC, BEN)
    assert ("tenant-shredded", "") == (caught.value.code, await refused(scene, OTHER, ANN))


async def test_a_tenant_is_shredded_once() -> None:
    """A second order is refused, and recorded nowhere."""
    scene = await KeyScene().open()
    await scene.shredding.tenant(OPERATOR, CLINIC, "other")
    with pytest.raises(Refused) as caught:
        await scene.shredding.tenant(OPERATOR, CLINIC, "other")
    assert ("tenant-shredded", 1) == (caught.value.code, len(scene.said("keys.shred")))


async def test_what_the_database_holds_of_the_patient_goes_with_the_order() -> None:
    """Sealed values and index terms are deleted in the transaction of the first entry."""
    scene = await KeyScene().open()
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    (ordered,) = scene.said("keys.shred")
    counted = {"counted_at": "2026-03-02T09:30:00.000Z"}
    assert {"data_keys": 1, "sealed": 1, "terms": 1, **counted} == ordered["deleted"]
    assert await scene.store.sealed(CLINIC, KIND, ANN) is None
    assert {} == await scene.store.patients(CLINIC, [f"term/{ANN}"])
    assert await scene.store.sealed(CLINIC, KIND, BEN) is not None


async def test_every_act_is_an_entry_of_the_operator() -> None:
    """In their order, each naming who did it."""
    scene = await KeyScene().open()
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    said = [body for body in scene.ledger.bodies(CLINIC) if body["action"].startswith("keys.")]
    assert [
        *("keys.shred", "keys.renew", "keys.rewrap", "keys.rewrapped"),
        *("keys.drop", "keys.destroy", "keys.destroyed"),
    ] == [body["action"] for body in said]
    assert [{"kind": "operator", "name": "olga"}] * 7 == [body["actor"] for body in said]


@pytest.mark.parametrize("after", range(1, STEPS + 1))
async def test_a_shredding_that_ended_between_two_steps_is_finished(after: int) -> None:
    """Whichever step was the last, another process finds it in the ledger and goes on."""
    scene = await KeyScene().open()
    backup = older_backup(scene)

    def crash(_: str, number: int, of: int) -> None:
        """End after so many of the steps; `rewrap` tells its own progress."""
        if (number, of) == (after, STEPS):
            raise CrashError

    with pytest.raises(CrashError):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", crash)
    scene.restart()
    assert 1 == len(await scene.history.unfinished(CLINIC, "keys.shred"))
    other = Principal("operator", "oscar", CLINIC)
    (done,) = await scene.shredding.resume(other, CLINIC)
    body = body_of(scene, done.certificate)
    assert ("olga", "oscar") == (body["ordered"]["by"]["name"], body["finished"]["by"]["name"])
    # Rotated again where nothing had recorded the first one: one version alone is left.
    ended = [1, 2] if after == ROTATED else [1]
    assert (ended, 1) == (body["keys"]["versions"], body["deleted"]["data_keys"])
    assert ["root-key-missing", "", "data-key-missing"] == [
        await refused(scene, CLINIC, ANN, backup),
        await refused(scene, CLINIC, BEN),
        await refused(scene, CLINIC, ANN),
    ]
    assert [{ended[-1] + 1}, {2}] == [
        set(scene.manager.roots[tenant_root(CLINIC)]),
        {key.version for key in await scene.ledger.keys.tenant_keys(CLINIC) if key.use == "data"},
    ]
    assert [] == await scene.shredding.resume(other, CLINIC)


@pytest.mark.parametrize(
    "action", ["keys.renew", "keys.rewrap", "keys.drop", "keys.destroy", "keys.destroyed"]
)
async def test_a_shredding_whose_entry_could_not_be_recorded_is_finished(action: str) -> None:
    """A ledger that fails within a step leaves the same thing to be done."""
    scene = await KeyScene().open()
    scene.ledger.failing[action] = Unavailable("ledger-unavailable", "x", "y")
    with pytest.raises(Unavailable):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    scene.ledger.failing.clear()
    scene.restart()
    assert 1 == len(await scene.shredding.resume(OPERATOR, CLINIC))
    # Rotated again where nothing had recorded the first one: one version alone is left.
    newest = 3 if action == "keys.destroy" else 2
    assert [{newest}, ""] == [
        set(scene.manager.roots[tenant_root(CLINIC)]),
        await refused(scene, CLINIC, BEN),
    ]


@pytest.mark.parametrize("after", [1, 2])
async def test_the_shredding_of_a_tenant_is_finished_too(after: int) -> None:
    """Also where the key manager has destroyed the key, and says that there is none."""
    scene = await KeyScene().open()

    def crash(_: str, number: int, __: int) -> None:
        """End after so many of the steps."""
        if number == after:
            raise CrashError

    with pytest.raises(CrashError):
        await scene.shredding.tenant(OPERATOR, CLINIC, "other", crash)
    scene.restart()
    scene.operator = Strict(scene.manager)
    scene.restart()
    (done,) = await scene.shredding.resume(OPERATOR, CLINIC)
    assert ([1], "destroyed before", {}) == (
        body_of(scene, done.certificate)["keys"]["versions"],
        body_of(scene, done.certificate)["keys"]["method"],
        scene.manager.roots[tenant_root(CLINIC)],
    )


async def test_the_certificate_says_what_was_destroyed_and_where_it_stands() -> None:
    """Counts, keys, who and when, and checkpoints that verify and cover the order."""
    scene = await KeyScene().open()
    done = await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    body = body_of(scene, done.certificate)
    assert ("patients", CLINIC, [ANN], "error") == tuple(
        body[name] for name in ("what", "tenant", "patients", "reason")
    )
    assert ("openbao", tenant_root(CLINIC), [1]) == tuple(
        body["keys"][name] for name in ("provider", "root", "versions")
    )
    head, log = await scene.store.head(CLINIC), body["logs"]["tenant"]
    assert log["size"] == open_checkpoint(log["checkpoint"], head.vkey).size > done.ordered
    assert "2026-03-02T09:40:00.000Z" == body["no_process_after"]
    assert 1 == body["copies"]


async def test_the_certificate_is_in_the_ledger_and_can_be_had_again() -> None:
    """The entry holds it whole, and the same signature is made again."""
    scene = await KeyScene().open()
    done = await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert done.certificate == await scene.shredding.certificate(CLINIC, done.destroyed)
    with pytest.raises(Missing) as caught:
        await scene.shredding.certificate(CLINIC, done.ordered)
    assert "certificate-unknown" == caught.value.code


async def test_the_certificate_counts_what_it_cannot_reach() -> None:
    """Payloads of exchanges that concern several patients are sealed for none of them."""
    scene = await KeyScene().open()
    await scene.exchange([ANN], "1" * 32)
    await scene.exchange([ANN, BEN], "2" * 32)
    await scene.exchange([ANN, BEN], "3" * 32)
    done = await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "relationship-ended")
    beyond = body_of(scene, done.certificate)["beyond"]
    assert [2, 2] == [one["count"] for one in beyond if "count" in one]


@pytest.mark.parametrize(
    ("provider", "word"), [("file", "passphrase"), ("openbao", "snapshot"), ("aws", "cancel")]
)
async def test_the_certificate_says_what_the_provider_cannot_exclude(
    provider: str, word: str
) -> None:
    """First of all: it is what a reader must know."""
    scene = await KeyScene(provider).open()
    done = await scene.shredding.tenant(OPERATOR, CLINIC, "other")
    assert word in body_of(scene, done.certificate)["beyond"][0]["what"]


async def test_a_key_manager_that_waits_moves_the_moment() -> None:
    """No process can hold a key after that only once the destruction is final."""
    scene = await KeyScene("aws").open()
    scene.manager.final_at = scene.clock.now().replace(month=4)
    done = await scene.shredding.tenant(OPERATOR, CLINIC, "other")
    body = body_of(scene, done.certificate)
    assert ("2026-04-02T09:30:00.000Z",) * 2 == (
        body["keys"]["final_at"],
        body["no_process_after"],
    )


@pytest.mark.parametrize("held", [ANN, None])
async def test_what_is_under_a_legal_hold_stays(held: str | None) -> None:
    """A hold on the patient or on the whole tenant refuses both kinds of shredding."""
    scene = await KeyScene().open()
    spec: dict[str, Any] = {"matter": "docket 1", "placed": "2026-01-01"}
    await scene.apply("LegalHold", "docket", {**spec, "patient": held} if held else spec)
    for shred in (
        scene.shredding.patients(OPERATOR, CLINIC, [ANN], "relationship-ended"),
        scene.shredding.tenant(OPERATOR, CLINIC, "relationship-ended"),
    ):
        with pytest.raises(Refused) as caught:
            await shred
        assert "legal-hold" == caught.value.code
    assert "" == await refused(scene, CLINIC, ANN)


async def test_a_hold_on_another_patient_does_not_keep_this_one() -> None:
    """It holds what it names."""
    scene = await KeyScene().open()
    spec = {"matter": "docket 1", "placed": "2026-01-01", "patient": BEN}
    await scene.apply("LegalHold", "docket", spec)
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert "data-key-missing" == await refused(scene, CLINIC, ANN)


@pytest.mark.parametrize("reason", ["patient-request", "retention-ended", "error", "other"])
async def test_what_must_be_accounted_for_stays(reason: str) -> None:
    """Something was sent within six years: only the end of the relationship goes before."""
    scene = await KeyScene().open()
    await scene.exchange([ANN], "1" * 32)
    for shred in (
        scene.shredding.patients(OPERATOR, CLINIC, [ANN], reason),
        scene.shredding.tenant(OPERATOR, CLINIC, reason),
    ):
        with pytest.raises(Refused) as caught:
            await shred
        assert "retention-floor" == caught.value.code
    await scene.shredding.patients(OPERATOR, CLINIC, [BEN], reason)
    await scene.shredding.tenant(OPERATOR, CLINIC, "relationship-ended")


async def test_what_is_older_than_the_retention_may_go() -> None:
    """Six calendar years after the last exchange."""
    scene = await KeyScene().open()
    await scene.exchange([ANN], "1" * 32)
    scene.clock.advance(6 * 366 * 86_400)
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "retention-ended")
    assert "data-key-missing" == await refused(scene, CLINIC, ANN)


@pytest.mark.parametrize(
    ("patients", "reason", "code"),
    [
        ([], "error", "patients-unnamed"),
        (["Ann Smith"], "error", "patients-unnamed"),
        ([f"{number:024x}" for number in range(501)], "error", "patients-unnamed"),
        ([ANN], "because she asked", "reason-unknown"),
        (["c" * 24], "error", "nothing-held"),
    ],
)
async def test_an_order_that_cannot_be_is_recorded_nowhere(
    patients: list[str], reason: str, code: str
) -> None:
    """No free text, no names, nobody unknown."""
    scene = await KeyScene().open()
    with pytest.raises((Invalid, Missing)) as caught:
        await scene.shredding.patients(OPERATOR, CLINIC, patients, reason)
    assert (code, []) == (caught.value.code, scene.said("keys.shred"))
    assert reason not in str(caught.value) or reason == "error"


async def test_nothing_is_deleted_unless_it_is_recorded() -> None:
    """A ledger that is down keeps everything."""
    scene = await KeyScene().open()
    scene.ledger.failing["keys.shred"] = Unavailable("ledger-unavailable", "x", "y")
    with pytest.raises(Unavailable):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert ["", {1}] == [
        await refused(scene, CLINIC, ANN),
        set(scene.manager.roots[tenant_root(CLINIC)]),
    ]


async def test_a_patients_shredding_is_finished_by_the_tenants() -> None:
    """Where the tenant went meanwhile, what is left of the older order is its certificate."""
    scene = await KeyScene().open()

    def crash(*_: Any) -> None:
        """End after the first step."""
        raise CrashError

    with pytest.raises(CrashError):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", crash)
    await scene.shredding.tenant(OPERATOR, CLINIC, "other")
    (done,) = await scene.shredding.resume(OPERATOR, CLINIC)
    assert "patients" == body_of(scene, done.certificate)["what"]
