"""Pruning: what nothing asks for goes, recorded before; everything else is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from archives_scene import LOG, OPERATOR, ORIGIN, PATIENT, Scene, opened
from fake_archives import MemoryArchive
from fakes import FakeRandom
from seawall.app.ports import SYSTEM_LOG
from seawall.app.read_ledger import ReadLedger
from seawall.core.errors import Missing, Refused, Tampered, Unavailable
from seawall.core.ledger.checkpoint import open_checkpoint
from seawall.core.ledger.proofs import verify_proof
from seawall.core.ledger.retention import Stop, Why

BUNDLE_0 = f"{ORIGIN}/tile/entries/000"
DOWN = Unavailable("archive-unavailable", "the archive does not answer", "wait")


async def aged(count: int = 600, **fields: Any) -> Scene:
    """Return a scene whose entries were archived seven years ago, and one of today."""
    scene = await opened(count, **fields)
    await scene.archiving.all()
    scene.seven_years_on()
    await scene.record(1)
    return scene


async def refusal(scene: Scene) -> str:
    """Return the code with which pruning is refused; nothing may have been recorded or gone."""
    journal = list(scene.ledger.journal)
    with pytest.raises((Refused, Tampered, Unavailable)) as caught:
        await scene.pruning.prune(OPERATOR, LOG)
    assert (0, journal) == (scene.ledger.logs[LOG].minimum, scene.ledger.journal)
    return caught.value.code


async def test_what_is_old_and_archived_goes() -> None:
    """Full bundles of more than six years ago; the incomplete one stays."""
    scene = await aged()
    plan = await scene.pruning.prune(OPERATOR, LOG)
    expected = Stop(512, Why.INCOMPLETE)
    assert (512, expected) == ((await scene.store.head(LOG)).minimum, plan.stop)


async def test_a_plan_changes_nothing() -> None:
    """It says what would go, and records and deletes nothing."""
    scene = await aged()
    journal = list(scene.ledger.journal)
    plan = await scene.planning.plan(LOG)
    assert (512, 0, journal) == (plan.upto, scene.ledger.logs[LOG].minimum, scene.ledger.journal)


async def test_the_intent_is_recorded_before_and_the_outcome_after() -> None:
    """Who, which entries, by what, where they are; then how it ended."""
    scene = await aged()
    await scene.pruning.prune(OPERATOR, LOG)
    (intent,), (outcome,) = scene.system("ledger.prune"), scene.system("ledger.pruned")
    fields = ("log", "size", "from", "to", "archives", "years", "holds", "actor")
    actor = {"kind": "operator", "name": "operator"}
    assert [ORIGIN, 601, 0, 512, ["shelf", "vault"], 6, [], actor] == [intent[f] for f in fields]
    assert ("pruned", 512) == (outcome["outcome"], outcome["minimum"])
    assert intent == scene.ledger.bodies(SYSTEM_LOG)[outcome["intent"]]


async def test_what_stays_is_provable_as_before() -> None:
    """Entries at or above the minimum are proved, the checkpoint is the same, others are told."""
    scene = await aged()
    before = (await scene.store.head(LOG)).checkpoint
    await scene.pruning.prune(OPERATOR, LOG)
    head, reading = await scene.store.head(LOG), ReadLedger(scene.store)
    proof = await reading.proof(LOG, 512)
    raw = (await scene.store.entries(LOG, 512, 513))[0]
    assert open_checkpoint(before, head.vkey) == verify_proof(proof, raw, head.vkey)
    with pytest.raises(Missing) as caught:
        await reading.proof(LOG, 511)
    assert "entry-pruned" == caught.value.code
    assert [601] == [size async for size, _ in reading.verify(LOG)][-1:]


async def test_pruning_again_goes_on_where_it_ended() -> None:
    """A log that was pruned is pruned further when more of it is old; until then nothing is."""
    scene = await aged(300)
    await scene.pruning.prune(OPERATOR, LOG)
    assert 256 == (await scene.pruning.prune(OPERATOR, LOG)).upto
    assert 1 == len(scene.system("ledger.prune"))
    await scene.record(300)
    await scene.archiving.all()
    scene.seven_years_on()
    await scene.record(1)
    assert 512 == (await scene.pruning.prune(OPERATOR, LOG)).upto


async def test_what_an_ended_pruning_left_goes_with_the_next() -> None:
    """The database is asked once more for the minimum that it has, and no new intent is made."""
    scene, asked = await aged(), list[tuple[str, int]]()

    class Asked:
        """A pruner that notes what it is asked for."""

        async def prune(self, log: str, minimum: int) -> None:
            """Note it."""
            asked.append((log, minimum))

    await scene.pruning.prune(OPERATOR, LOG)
    scene.pruning._pruner = Asked()
    await scene.pruning.prune(OPERATOR, LOG)
    assert ([(LOG, 512)], 1) == (asked, len(scene.system("ledger.prune")))


async def test_a_log_can_be_pruned_to_its_end() -> None:
    """With nothing left there is nothing to stop at, and it goes on growing from there."""
    scene = await opened(512)
    await scene.archiving.all()
    scene.seven_years_on()
    plans = [await scene.pruning.prune(OPERATOR, LOG) for _ in range(2)]
    await scene.record(1)
    assert [(512, None), (512, None)] == [(plan.upto, plan.stop) for plan in plans]
    assert Stop(512, Why.INCOMPLETE) == (await scene.planning.plan(LOG)).stop


async def test_young_entries_stay_and_say_until_when() -> None:
    """Six years are over on the day itself, and not the day before."""
    scene = await opened(600)
    await scene.archiving.all()
    scene.clock.at = scene.clock.at.replace(year=2025) - timedelta(days=1)
    assert Stop(0, Why.YOUNG, "2025-05-04") == (await scene.planning.plan(LOG)).stop
    scene.clock.advance(86_400)
    assert 512 == (await scene.planning.plan(LOG)).upto


async def test_longer_retention_keeps_longer() -> None:
    """Seven years are not over after seven years less a day."""
    scene = await opened(600)
    await scene.apply("Retention", years=8)
    await scene.archiving.all()
    scene.seven_years_on()
    assert Stop(0, Why.YOUNG, "2027-05-04") == (await scene.planning.plan(LOG)).stop


@pytest.mark.parametrize(
    ("spec", "upto"),
    [
        ({}, 0),
        ({"patient": PATIENT}, 256),
        ({"patient": "b" * 24}, 512),
        ({"released": "2026-05-04"}, 512),
        ({"released": "2026-05-05"}, 0),
    ],
)
async def test_a_hold_in_force_keeps_what_it_covers(spec: dict[str, str], upto: int) -> None:
    """The tenant's whole log, or from the first bundle that concerns the patient."""
    scene = await opened(300, patients=["c" * 24])
    await scene.record(1, patients=[PATIENT])
    await scene.record(299, patients=["c" * 24])
    await scene.archiving.all()
    scene.seven_years_on()
    await scene.hold(**spec)
    plan = await scene.planning.plan(LOG)
    assert upto == plan.upto
    assert plan.stop is not None
    assert (plan.stop.why == Why.HELD) is (upto < 512)


async def test_a_hold_keeps_the_systems_log_too() -> None:
    """What names the tenant there is held with it."""
    scene = await opened(300)
    for _ in range(300):
        await scene.ledger.append(SYSTEM_LOG, {"at": "2019-01-01T00:00:00Z", "tenant": LOG})
    await scene.archiving.all()
    scene.seven_years_on()
    free = await scene.planning.plan(SYSTEM_LOG)
    await scene.hold()
    held = await scene.planning.plan(SYSTEM_LOG)
    assert (256, 0) == (free.upto, held.upto)
    assert Stop(0, Why.HELD, "LegalHold/it@1") == held.stop


@pytest.mark.parametrize(
    "archives",
    [
        [],
        [MemoryArchive("one")],
        [MemoryArchive("one", is_locked=False), MemoryArchive("two", is_locked=False)],
    ],
)
async def test_two_archives_one_of_them_locked_or_nothing_goes(
    archives: list[MemoryArchive],
) -> None:
    """None, one, and two that their owner can empty are not enough."""
    scene = await aged()
    scene.archives = archives
    scene.begin()
    assert "prune-archives" == await refusal(scene)


async def test_one_place_under_two_names_is_no_second_archive() -> None:
    """Whatever the settings call it, what one took the other has: there is one copy."""
    scene = await opened(600)
    twin = MemoryArchive("twin", scene.clock)
    twin.objects = scene.vault.objects
    scene.archives = (scene.vault, twin)
    scene.begin()
    await scene.archiving.all()
    scene.seven_years_on()
    assert [0, 1] == await scene.archived("twin")
    assert "prune-archives" == await refusal(scene)


async def test_an_archive_that_does_not_list_what_it_took_refuses() -> None:
    """Where a canary is not seen, nothing shows that two archives are apart."""
    scene = await aged()
    scene.shelf.forgets |= {f"self-test/{FakeRandom().bytes(16).hex()}/apart"}
    scene.archives = (scene.shelf, scene.vault)
    scene.begin()
    assert "prune-archives" == await refusal(scene)


async def test_a_bundle_that_one_archive_lacks_stays() -> None:
    """What only one of them holds is kept here, with all that follows."""
    scene = await aged()
    del scene.ledger.logs[LOG].archived[1, "shelf"]
    assert Stop(256, Why.UNARCHIVED) == (await scene.planning.plan(LOG)).stop


async def test_archives_that_are_no_longer_in_the_settings_do_not_count() -> None:
    """Rows of an archive that nobody can ask are no copies."""
    scene = await aged()
    scene.archives = [MemoryArchive("new", scene.clock), scene.shelf]
    scene.begin()
    assert Stop(0, Why.UNARCHIVED) == (await scene.planning.plan(LOG)).stop


@pytest.mark.parametrize("archive", ["vault", "shelf"])
async def test_an_altered_copy_is_noticed_before_anything_goes(archive: str) -> None:
    """One changed byte in either archive refuses, and the log stays whole."""
    scene = await aged()
    kept = {"vault": scene.vault, "shelf": scene.shelf}[archive]
    kept.altered[BUNDLE_0] = kept.objects[BUNDLE_0].content[:-1] + b"?"
    assert "archive-altered" == await refusal(scene)


async def test_a_lost_copy_is_noticed_before_anything_goes() -> None:
    """An object that an archive no longer has refuses."""
    scene = await aged()
    del scene.vault.objects[BUNDLE_0]
    assert "archive-altered" == await refusal(scene)


async def test_an_archive_that_does_not_answer_refuses() -> None:
    """What cannot be read back now is not pruned now."""
    scene = await aged()
    scene.shelf.down = DOWN
    assert "archive-unavailable" == await refusal(scene)


async def test_an_archive_that_fails_its_test_refuses() -> None:
    """A bucket that lets go of objects today holds nothing, whatever it said then."""
    scene = await aged()
    scene.vault.down = Refused("archive-untrusted", "it lets go", "use another")
    assert "archive-untrusted" == await refusal(scene)


async def test_a_log_that_does_not_verify_is_not_pruned() -> None:
    """A changed entry anywhere in the log is an incident first."""
    scene = await aged()
    scene.ledger.logs[LOG].entries[599] = b"{}"
    assert "ledger-tampered" == await refusal(scene)


@pytest.mark.parametrize("days", [3_650, -3_650, 2, -2])
async def test_a_clock_that_an_archive_contradicts_ages_nothing(days: int) -> None:
    """Set forward by ten years, or back, or by two days: nothing is pruned by it."""
    scene = await opened(600)
    await scene.archiving.all()
    theirs = scene.clock.at
    scene.vault._clock = type(scene.clock)(theirs)
    scene.clock.advance(86_400 * days)
    assert "clock-implausible" == await refusal(scene)


async def test_a_clock_before_the_newest_entry_is_not_believed() -> None:
    """An entry from the future says that this clock, or that one, was wrong."""
    scene = await aged()
    scene.clock.advance(-3_600)
    assert "clock-implausible" == await refusal(scene)


async def test_entries_of_a_clock_that_was_set_back_are_as_young_as_their_archiving() -> None:
    """Made by a clock of 2012 and archived in 2019, they stay until 2025."""
    scene = await Scene().open()
    scene.clock.at = scene.clock.at.replace(year=2012)
    await scene.record(600)
    scene.clock.at = scene.clock.at.replace(year=2019)
    await scene.archiving.all()
    assert Stop(0, Why.YOUNG, "2025-05-04") == (await scene.planning.plan(LOG)).stop
    scene.seven_years_on()
    assert 512 == (await scene.planning.plan(LOG)).upto


async def test_a_folder_says_nothing_of_an_entrys_age() -> None:
    """It has this machine's clock: what counts is when the locked archive took the bundle."""
    scene = await Scene().open()
    theirs = type(scene.clock)(scene.clock.at)
    scene.vault._clock = theirs
    scene.clock.at = scene.clock.at.replace(year=2012)
    await scene.record(600)
    await scene.archiving.all()
    scene.clock.at = theirs.at
    assert Stop(0, Why.YOUNG, "2025-05-04") == (await scene.planning.plan(LOG)).stop


async def test_an_archive_that_comes_later_makes_nothing_younger() -> None:
    """The first locked archive that took a bundle says since when; another may come after."""
    scene = await opened(600)
    await scene.archiving.all()
    scene.seven_years_on()
    scene.archives = (*scene.archives, MemoryArchive("third", scene.clock))
    scene.begin()
    await scene.archiving.all()
    assert 512 == (await scene.planning.plan(LOG)).upto


async def test_the_earliest_of_the_clocks_counts() -> None:
    """An archive that is hours behind keeps what is six years old by our clock alone."""
    scene = await opened(600)
    await scene.archiving.all()
    scene.vault._clock = type(scene.clock)(scene.clock.at.replace(year=2025) - timedelta(hours=5))
    scene.clock.at = scene.clock.at.replace(year=2025)
    assert Stop(0, Why.YOUNG, "2025-05-04") == (await scene.planning.plan(LOG)).stop


async def test_without_an_intent_nothing_goes() -> None:
    """If the ledger cannot record it, nothing is pruned."""
    scene = await aged()
    scene.ledger.failing["ledger.prune"] = Unavailable("ledger-unavailable", "x", "y")
    assert "ledger-unavailable" == await refusal(scene)


class Overtaken:
    """A pruner whose first step sees a hold placed at the same time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def prune(self, log: str, minimum: int) -> None:
        """Prune, and place a hold."""
        await self._scene.ledger.prune(log, minimum)
        await self._scene.hold()


class Failing:
    """A pruner that has no right to prune."""

    async def prune(self, log: str, minimum: int) -> None:
        """Refuse."""
        raise Refused("prune-refused", f"{log} is kept below {minimum}", "ask another")


async def test_a_database_that_refuses_is_the_outcome() -> None:
    """The intent is there, the outcome says that it failed and why, and the error is raised."""
    scene = await aged()
    with pytest.raises(Refused):
        await scene.pruned_by(Failing()).prune(OPERATOR, LOG)
    (outcome,) = scene.system("ledger.pruned")
    assert ("failed", "prune-refused", 0) == (
        outcome["outcome"],
        outcome["code"],
        outcome["minimum"],
    )


async def test_a_hold_that_is_placed_meanwhile_ends_it() -> None:
    """After the step in which it came nothing more goes, and the outcome says how far it was."""
    scene = await aged(5 * 256)
    with pytest.raises(Refused) as caught:
        await scene.pruned_by(Overtaken(scene)).prune(OPERATOR, LOG)
    (outcome,) = scene.system("ledger.pruned")
    expected = ("prune-overtaken", "failed", 4 * 256)
    assert expected == (caught.value.code, outcome["outcome"], outcome["minimum"])


async def test_a_hold_that_is_placed_during_the_last_step_is_told() -> None:
    """What went is gone here, and the outcome does not say that nothing asked for it."""
    scene = await aged()
    with pytest.raises(Refused) as caught:
        await scene.pruned_by(Overtaken(scene)).prune(OPERATOR, LOG)
    (outcome,) = scene.system("ledger.pruned")
    expected = ("prune-overtaken", "prune-overtaken", 512)
    assert expected == (caught.value.code, outcome["code"], outcome["minimum"])


async def test_progress_is_told() -> None:
    """What is being done, and up to which entry of how many."""
    scene = await aged()
    told: list[tuple[str, int, int]] = []
    await scene.pruning.prune(OPERATOR, LOG, lambda *said: told.append(said))
    assert [("verify", 601, 601), ("read back", 512, 512), ("prune", 512, 512)] == [
        [one for one in told if one[0] == what][-1] for what in ("verify", "read back", "prune")
    ]


async def test_an_archive_that_is_new_gets_pruned_bundles_from_another() -> None:
    """A third archive is filled from one that has them, and can replace it."""
    scene = await aged()
    await scene.pruning.prune(OPERATOR, LOG)
    third = MemoryArchive("third", scene.clock)
    scene.archives = (*scene.archives, third)
    scene.begin()
    await scene.archiving.all()
    assert third.objects[BUNDLE_0].content == scene.vault.objects[BUNDLE_0].content


async def test_an_archive_that_lacks_a_part_is_no_witness_of_the_whole() -> None:
    """The intent names the archives that hold all that goes; a third may hold less."""
    scene = await aged()
    third = MemoryArchive("third", scene.clock)
    scene.archives = (*scene.archives, third)
    scene.begin()
    assert ("shelf", "vault") == (await scene.planning.plan(LOG)).archives


async def test_a_hold_reaches_bundles_that_were_pruned() -> None:
    """They are held in the archives, read back from there."""
    scene = await opened(300, patients=[PATIENT])
    await scene.archiving.all()
    scene.seven_years_on()
    await scene.record(1)
    await scene.pruning.prune(OPERATOR, LOG)
    await scene.hold(patient=PATIENT)
    await scene.archiving.all()
    assert scene.vault.objects[BUNDLE_0].is_held
    assert scene.shelf.objects[BUNDLE_0].is_held


async def test_a_copy_that_one_archive_lost_is_taken_from_another() -> None:
    """A new archive is filled from whichever still has the bundle."""
    scene = await aged()
    await scene.pruning.prune(OPERATOR, LOG)
    del scene.shelf.objects[BUNDLE_0]
    third = MemoryArchive("third", scene.clock)
    scene.archives = (*scene.archives, third)
    scene.begin()
    await scene.archiving.all()
    assert third.objects[BUNDLE_0].content == scene.vault.objects[BUNDLE_0].content


async def test_an_archive_cannot_be_filled_from_nowhere() -> None:
    """What was pruned and no archive of the settings has is left out, and the rest archived."""
    scene = await aged()
    await scene.pruning.prune(OPERATOR, LOG)
    await scene.record(300)
    alone = MemoryArchive("alone", scene.clock)
    scene.archives = (alone,)
    scene.begin()
    await scene.archiving.all()
    assert [2] == await scene.archived("alone")
