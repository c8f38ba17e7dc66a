"""Bundles reach every archive, are read back, are held, and count only then."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from archives_scene import LOG, LONG_AGO, ORIGIN, PATIENT, Scene, opened
from fake_archives import MemoryArchive
from seawall.app.archive_ledger import ArchiveLedger, Run, completed_by, standings
from seawall.app.ports import KeepPublished, Published
from seawall.core.errors import Error, Refused, Tampered, Unavailable
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.tiles import decode_bundle
from seawall.core.ledger.tree import extend, leaf_hash, root_of
from seawall.verifier.__main__ import main as verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fakes import _MemoryLog

DOWN = Unavailable("archive-unavailable", "the archive does not answer", "wait")
BUNDLE_0 = f"{ORIGIN}/tile/entries/000"
TILE_0 = f"{ORIGIN}/tile/0/000"


def paths(scene: Scene) -> list[str]:
    """Return what the vault holds of the clinic's log, below its origin."""
    objects = scene.vault.objects
    return sorted(path.removeprefix(f"{ORIGIN}/") for path in objects if path.startswith(ORIGIN))


async def test_full_bundles_go_to_every_archive() -> None:
    """Each full bundle and its tile lie in each archive, and both count as held."""
    scene = await opened(600)
    runs = await scene.archiving.all()
    assert [Run(LOG, "vault", 0, 2), Run(LOG, "shelf", 0, 2)] == [r for r in runs if r.log == LOG]
    assert [0, 1] == await scene.archived("vault") == await scene.archived("shelf")
    raw = scene.vault.objects[BUNDLE_0].content
    hashes = b"".join(map(leaf_hash, decode_bundle(raw, 256)))
    assert hashes == scene.vault.objects[TILE_0].content == scene.shelf.objects[TILE_0].content


async def test_a_copy_of_an_archive_verifies(tmp_path: Path) -> None:
    """A stranger's verifier accepts the copy by its newest checkpoint."""
    scene = await opened(700)
    await scene.archiving.all()
    await scene.record(400)
    await scene.archiving.all()
    for path in paths(scene):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(scene.vault.objects[f"{ORIGIN}/{path}"].content)
    sizes = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert (["1100", "700"], 0) == (sizes, verify([str(tmp_path), "--archive"]))


async def test_a_second_run_has_nothing_to_do() -> None:
    """What is archived is not archived again, by this process or the next."""
    scene = await opened(300)
    await scene.archiving.all()
    held = paths(scene)
    scene.begin()
    assert ([], held) == (await scene.archiving.all(), paths(scene))


async def test_the_rest_is_archived_daily_or_when_asked() -> None:
    """Less than a bundle waits for a day, or for somebody who wants it whole."""
    scene = await opened(1)
    sizes = []
    for seconds, is_whole in ((0, False), (60, False), (60, True), (86_400, False), (60, False)):
        await scene.record(1)
        scene.clock.advance(seconds)
        await scene.archiving.all(is_whole=is_whole)
        sizes.append([path for path in paths(scene) if path.startswith("checkpoints/")][-1])
    assert ["2", "2", "4", "5", "5"] == [path.removeprefix("checkpoints/") for path in sizes]


async def test_what_was_published_lies_beside_it() -> None:
    """Cosigned and stamped checkpoints are archived; what nobody else signed is not."""
    scene = await opened(300)
    for size, witnessed, stamp in ((10, True, None), (20, False, None), (30, False, b"tsr")):
        made = Published(LOG, size, 1, f"note {size}", is_witnessed=witnessed, stamp=stamp)
        await scene.ledger.remember([KeepPublished(made)])
    await scene.archiving.all()
    published = [path for path in paths(scene) if path.startswith("published/")]
    expected = ["10/checkpoint", "30/checkpoint", "30/stamp.tsr"]
    assert [f"published/{path}" for path in expected] == published


async def test_more_cosignatures_afterwards_are_no_conflict() -> None:
    """The checkpoint that was archived first stays, and the run goes on."""
    scene = await opened(300)
    for note in ("note", "more"):
        made = Published(LOG, 290, 1, note, is_witnessed=True)
        await scene.ledger.remember([KeepPublished(made)])
        await scene.archiving.all()
    scene.begin()
    await scene.record(300)
    await scene.archiving.all()
    assert b"note" == scene.vault.objects[f"{ORIGIN}/published/290/checkpoint"].content
    assert [0, 1] == await scene.archived()


async def test_an_object_is_kept_six_years_from_when_it_was_archived() -> None:
    """By the archive's own clock, also if the entries say that they are older or younger."""
    scene = await opened(256)
    await scene.archiving.all()
    assert datetime(2025, 5, 4, 9, 30, tzinfo=UTC) == scene.vault.objects[BUNDLE_0].until


async def test_a_run_is_an_entry_that_names_what_and_how_long() -> None:
    """Log, archive, from and to, years and a digest are in the system's log."""
    scene = await opened(600)
    await scene.archiving.all()
    said = scene.system("ledger.archive")
    fields = ("log", "archive", "from", "to", "years", "holds")
    assert [(ORIGIN, "vault", 0, 512, 6, []), (ORIGIN, "shelf", 0, 512, 6, [])] == [
        tuple(one[name] for name in fields) for one in said
    ]
    assert 1 == len({one["digest"] for one in said})


@pytest.mark.parametrize("code", ["archive-unavailable", "archive-refused"])
async def test_an_archive_that_is_down_stops_no_other(code: str) -> None:
    """The other gets everything, nothing counts for the first, and the next run resumes."""
    scene = await opened(600)
    scene.vault.down = (Unavailable if code == "archive-unavailable" else Refused)(code, "x", "y")
    with pytest.raises(Error) as caught:
        await scene.archiving.all()
    assert (code, [], [0, 1]) == (
        caught.value.code,
        await scene.archived("vault"),
        await scene.archived("shelf"),
    )
    scene.vault.down = None
    await scene.archiving.all()
    assert [0, 1] == await scene.archived("vault")


async def test_an_archive_that_fills_up_keeps_what_it_has() -> None:
    """What was read back counts and is recorded; the rest waits until there is room."""
    scene = await opened(800)
    scene.vault.room = 5
    with pytest.raises(Unavailable):
        await scene.archiving.all()
    assert [0, 1] == await scene.archived("vault")
    assert 512 == scene.system("ledger.archive")[0]["to"]
    scene.vault.room = None
    await scene.archiving.all()
    assert [0, 1, 2] == await scene.archived("vault")


async def test_what_reads_back_otherwise_does_not_count() -> None:
    """An archive that gives other bytes than it took is an incident, and holds nothing."""
    scene = await opened(300)
    scene.vault.altered[BUNDLE_0] = b"other"
    with pytest.raises(Tampered) as caught:
        await scene.archiving.all()
    assert ("archive-altered", []) == (caught.value.code, await scene.archived("vault"))
    assert [0] == await scene.archived("shelf")


async def test_another_content_at_a_logs_path_is_an_incident() -> None:
    """An archive that holds something else where a bundle belongs is named."""
    scene = await opened(300)
    await scene.vault.put(BUNDLE_0, b"somebody else's", LONG_AGO)
    with pytest.raises(Tampered) as caught:
        await scene.archiving.all()
    assert "archive-altered" == caught.value.code


async def test_what_is_gone_when_it_is_read_back_does_not_count() -> None:
    """An archive that takes an object and has lost it is an incident."""
    scene = await opened(300)
    scene.vault.forgets.add(BUNDLE_0)
    with pytest.raises(Tampered) as caught:
        await scene.archiving.all()
    assert ("archive-altered", []) == (caught.value.code, await scene.archived("vault"))


def change_an_entry(log: _MemoryLog) -> None:
    """Put another entry into the database."""
    log.entries[7] = b"{}"


def lose_an_entry(log: _MemoryLog) -> None:
    """Take the last entries out of the database."""
    del log.entries[200:]


@pytest.mark.parametrize("spoil", [change_an_entry, lose_an_entry])
async def test_entries_that_are_not_what_was_signed_are_not_archived(
    spoil: Callable[[_MemoryLog], None],
) -> None:
    """A changed or lost entry in the database reaches no archive."""
    scene = await opened(300)
    spoil(scene.ledger.logs[LOG])
    with pytest.raises(Tampered) as caught:
        await scene.archiving.all()
    assert ("ledger-tampered", []) == (caught.value.code, paths(scene))


async def test_a_run_that_is_cancelled_is_resumed() -> None:
    """Ended in the middle, what was read back counts, and the next process goes on there."""
    scene = await opened(800)

    def stop(archive: str, _head: object, bundle: int) -> None:
        """Cancel after the first bundle of the vault."""
        if (archive, bundle) == ("vault", 1):
            task.cancel()

    task = asyncio.create_task(scene.archiving.all(progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await task
    first = await scene.archived("vault")
    scene.begin()
    await scene.archiving.all()
    assert ([0], [0, 1, 2]) == (first, await scene.archived("vault"))


async def test_an_archive_is_tested_once_and_again_after_it_failed() -> None:
    """Before the first object, and before the first after a failure."""
    scene = await opened(300)
    for _ in range(2):
        await scene.archiving.all()
    first = scene.vault.tested
    scene.vault.down = DOWN
    with pytest.raises(Unavailable):
        await scene.archiving.all()
    scene.vault.down = None
    await scene.archiving.all()
    assert (1, 2) == (first, scene.vault.tested)


@pytest.mark.parametrize(
    ("patient", "expected"),
    [(None, [True, True]), (PATIENT, [True, False]), ("b" * 24, [False] * 2)],
)
async def test_a_hold_that_is_placed_afterwards_is_set_on_what_was_archived(
    patient: str | None, expected: list[bool]
) -> None:
    """A tenant's hold on every bundle, a patient's on those that concern the patient."""
    scene = await opened(1, patients=[PATIENT])
    await scene.record(511, patients=["c" * 24])
    await scene.archiving.all()
    await scene.hold(**({"patient": patient} if patient else {}))
    await scene.archiving.all()
    held = [scene.vault.objects[f"{ORIGIN}/tile/entries/00{at}"].is_held for at in (0, 1)]
    tiles = [scene.vault.objects[f"{ORIGIN}/tile/0/00{at}"].is_held for at in (0, 1)]
    assert expected == held == tiles


async def test_a_hold_is_set_on_what_comes_while_it_is_in_force_and_lifted_when_released() -> None:
    """New bundles are held at once; release lifts them, recorded each time."""
    scene = await opened()
    await scene.hold()
    await scene.record(300)
    await scene.archiving.all()
    during = scene.vault.objects[BUNDLE_0].is_held
    await scene.hold(released="2019-05-04")
    await scene.archiving.all()
    assert (True, False) == (during, scene.vault.objects[BUNDLE_0].is_held)
    assert [["clinic/LegalHold/it@1"], ["clinic/LegalHold/it@1"]] == [
        one["holds"] for one in scene.system("ledger.archive")
    ]
    assert [[], []] == [one["holds"] for one in scene.system("ledger.retain")]


async def test_a_release_that_the_index_does_not_know_yet_lifts_the_hold() -> None:
    """The index follows later: the newest run is read as it is, and not as it was."""
    scene = await opened(300)
    await scene.archiving.all()
    await scene.indexing.all()
    await scene.hold()
    await scene.archiving.all()
    scene.begin()
    await scene.documents.load()
    await scene.hold(released="2019-05-04")
    await scene.archiving.all()
    assert not scene.vault.objects[BUNDLE_0].is_held


async def with_rest(count: int) -> Scene:
    """Return a scene whose archives have a published checkpoint, and less than a bundle."""
    scene = await opened(count)
    made = Published(LOG, count, 1, "note", is_witnessed=True, stamp=b"tsr")
    await scene.ledger.remember([KeepPublished(made)])
    await scene.archiving.all(is_whole=True)
    return scene


def held(scene: Scene) -> dict[str, bool]:
    """Return whether each object of the clinic's log is held."""
    return {path: scene.vault.objects[f"{ORIGIN}/{path}"].is_held for path in paths(scene)}


REST = {"vkey", "published/{0}/checkpoint", "published/{0}/stamp.tsr", "checkpoints/{0}"}


@pytest.mark.parametrize("count", [10, 300])
async def test_a_hold_reaches_what_it_takes_to_verify_and_is_lifted_there(count: int) -> None:
    """Checkpoints, stamps, the key and partial tiles, also of a log without a full bundle."""
    scene = await with_rest(count)
    await scene.hold(patient=PATIENT)
    await scene.archiving.all()
    during = {path for path, is_held in held(scene).items() if is_held}
    assert during >= {path.format(count) for path in REST}
    assert {path for path in held(scene) if ".p/" in path or path in during} == during
    await scene.hold(patient=PATIENT, released="2019-05-04")
    await scene.archiving.all()
    assert not any(held(scene).values())


async def test_what_comes_while_a_hold_is_in_force_is_held_and_released() -> None:
    """A later checkpoint and its partial tiles are held at once, and none of them for ever."""
    scene = await with_rest(300)
    await scene.hold()
    await scene.record(10)
    await scene.archiving.all(is_whole=True)
    assert all(held(scene).values())
    await scene.hold(released="2019-05-04")
    await scene.archiving.all()
    assert not any(held(scene).values())


async def test_raised_retention_reaches_what_it_takes_to_verify() -> None:
    """Counted from when each was archived, and nothing is kept for less long than before."""
    scene = await with_rest(300)
    first = paths(scene)
    scene.vault.objects[f"{ORIGIN}/vkey"].until = datetime(2040, 1, 1, tzinfo=UTC)
    scene.clock.advance(86_400 * 100)
    await scene.apply("Retention", years=10)
    await scene.archiving.all()
    until = {path: scene.vault.objects[f"{ORIGIN}/{path}"].until for path in first}
    del until["tile/1/000.p/1"]  # which the next checkpoint has too
    assert datetime(2040, 1, 1, tzinfo=UTC) == until.pop("vkey")
    assert {datetime(2029, 5, 4, 9, 30, tzinfo=UTC)} == set(until.values())


class Unyielding(MemoryArchive):
    """An archive whose credentials may put, and not retain."""

    async def extend(self, path: str, version: str, retain_until: datetime) -> None:
        """Refuse."""
        raise Refused("archive-refused", f"{path} {version} {retain_until}", "grant it")


async def test_an_archive_that_refuses_to_keep_the_rest_longer_is_told() -> None:
    """Only a retention that is longer already is passed over."""
    scene = await with_rest(10)
    unyielding = Unyielding("vault", scene.clock)
    unyielding.objects = scene.vault.objects
    scene.archives = (unyielding,)
    scene.begin()
    with pytest.raises(Refused) as caught:
        await scene.archiving.all()
    assert "archive-refused" == caught.value.code


async def test_retention_that_is_raised_reaches_what_was_archived() -> None:
    """Four more years, counted from when each was archived."""
    scene = await opened(300)
    await scene.archiving.all()
    scene.clock.advance(86_400 * 100)
    await scene.apply("Retention", years=10)
    await scene.archiving.all()
    assert datetime(2029, 5, 4, 9, 30, tzinfo=UTC) == scene.vault.objects[BUNDLE_0].until
    assert 10 == scene.system("ledger.retain")[0]["years"]


async def test_the_next_process_knows_by_what_was_kept() -> None:
    """Where the documents are as the newest run says, nothing is gone through again."""
    scene = await opened(300)
    await scene.apply("Retention", years=10)
    await scene.archiving.all()
    await scene.indexing.all()
    del scene.vault.objects[TILE_0]
    scene.begin()
    await scene.archiving.all()
    assert TILE_0 not in scene.vault.objects
    await scene.hold()
    await scene.archiving.all()
    assert scene.vault.objects[TILE_0].is_held


async def test_a_higher_tile_is_archived_when_it_is_full() -> None:
    """65,536 entries complete a tile of level 1, which goes with the last of its bundles."""
    scene = await opened()
    log, raw = scene.ledger.logs[LOG], encode({"at": "2019-05-04T09:30:00Z", "patients": []})
    extension = extend(log.edge, [leaf_hash(raw)] * 65_536)
    log.edge, log.entries = extension.edge, [raw] * 65_536
    log.tiles.update(extension.tiles)
    await scene.archiving.all()
    tile = root_of([leaf_hash(raw)] * 256) * 256
    assert tile == scene.vault.objects[f"{ORIGIN}/tile/1/000"].content
    assert 256 == len(await scene.archived())


def test_higher_tiles_are_completed_from_below() -> None:
    """A tile of level 1 goes with the bundle that completes it, and one of level 2 later."""
    assert [[], [(1, 0)], [(1, 0)], []] == [completed_by(at) for at in (0, 255, 255, 256)]
    assert [(1, 255), (2, 0)] == completed_by(65_535)


async def test_an_empty_log_and_no_archive_make_nothing() -> None:
    """Nothing is written and nothing recorded."""
    scene = await opened()
    before = list(scene.ledger.journal)
    none = ArchiveLedger(
        store=scene.store,
        ledger=scene.ledger,
        archives=(),
        clock=scene.clock,
        indexing=scene.indexing,
    )
    assert ([], []) == (await scene.archiving.all(), await none.all())
    assert ([], before) == (paths(scene), scene.ledger.journal)


async def test_status_says_how_far_each_archive_is() -> None:
    """Bundles of how many, whether locked, and when the newest came."""
    scene = await opened(600)
    scene.vault.down = DOWN
    with pytest.raises(Unavailable):
        await scene.archiving.all()
    said = {
        one.archive: one for one in await standings(scene.store, scene.archives) if one.log == LOG
    }
    newest = int(LONG_AGO.timestamp() * 1000)
    assert (0, 2, True, None) == (
        said["vault"].bundles,
        said["vault"].of,
        said["vault"].is_locked,
        said["vault"].newest_ms,
    )
    assert (2, False, newest) == (
        said["shelf"].bundles,
        said["shelf"].is_locked,
        said["shelf"].newest_ms,
    )
