"""Restoring behind what is known is refused, or freezes the log and begins a successor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup_scenes import Scene, append, scene
from seawall.app.backup.known import logs_behind, read_known
from seawall.core.backup.manifest import LogAt
from seawall.core.errors import Conflict, Tampered
from seawall.core.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.note import encode_base64
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path


async def two_snapshots(place: Path) -> tuple[Scene, str]:
    """Make a backup twice, with entries between; return the name of the older snapshot."""
    made = await scene(place)
    older = (await made.back_up()).snapshot
    await append(made.installation, 10)
    await made.back_up()
    return made, older


async def test_an_older_snapshot_is_behind_a_newer_one(tmp_path: Path) -> None:
    """What is there already says that more was recorded."""
    made, older = await two_snapshots(tmp_path)

    with pytest.raises(Conflict) as caught:
        await made.restore(snapshot=older)

    assert "restore-behind" == caught.value.code
    assert not (tmp_path / "new").joinpath("keys", "ring.json").exists()


async def test_a_kept_checkpoint_is_known(tmp_path: Path) -> None:
    """A checkpoint that somebody kept counts as much, also if no snapshot has it."""
    made = await scene(tmp_path)
    await made.back_up()
    await append(made.installation, 5)
    kept = (await made.installation.store.head("hillside")).checkpoint

    with pytest.raises(Conflict) as caught:
        await made.restore(known=(kept,))

    assert "restore-behind" == caught.value.code


async def test_a_successor_names_what_it_succeeds_and_the_gap(tmp_path: Path) -> None:
    """The new log's first entry says which entries are missing, and what the old checkpoint was."""
    made, older = await two_snapshots(tmp_path)
    known = await made.installation.store.head("hillside")

    installation = await made.restored(snapshot=older, is_successor=True)

    frozen, head = [await installation.store.head(log) for log in ("hillside~1", "hillside")]
    first = decode((await installation.store.entries("hillside", 0, 1))[0])
    assert (known.origin, "log.successor") == (frozen.origin, first["action"])
    assert head.origin != known.origin
    assert {
        "origin": known.origin,
        "restored": {"size": 2, "root": encode_base64(frozen.root)},
        "known": {"size": 12, "root": encode_base64(known.root)},
        "gap": {"from": 2, "until": 12},
    } == {name: first[name] for name in ("origin", "restored", "known", "gap")}


async def test_a_succeeded_log_is_no_tenant_and_can_be_read(tmp_path: Path) -> None:
    """Its entries are there under its own name and origin; the tenant goes on in the new log."""
    made, older = await two_snapshots(tmp_path)
    installation = await made.restored(snapshot=older, is_successor=True)
    async with installation.write() as writer:
        principal = Principal("operator", "operator", "hillside")
        await writer.open_tenant("hillside")
        await writer.indexing.all()
        await writer.documents.apply(principal, [])

    assert ["hillside", "riverside"] == await installation.store.tenants()
    frozen = await installation.store.head("hillside~1")
    signed = open_checkpoint(frozen.checkpoint, frozen.vkey)
    assert (2, frozen.root) == (signed.size, signed.root)
    assert 2 == await installation.store.indexed("hillside~1")


async def test_other_logs_go_on_under_their_origin(tmp_path: Path) -> None:
    """Only a log that is behind is succeeded."""
    made, older = await two_snapshots(tmp_path)
    before = (await made.installation.store.head("riverside")).origin

    installation = await made.restored(snapshot=older, is_successor=True)

    assert before == (await installation.store.head("riverside")).origin
    assert ["hillside", "hillside~1", "riverside", "system", "system~1"] == [
        head.log for head in await installation.store.logs()
    ]


async def test_a_second_successor_has_a_number_of_its_own(tmp_path: Path) -> None:
    """A log that was succeeded twice leaves two frozen ones."""
    made, older = await two_snapshots(tmp_path)
    once = Scene(await made.restored("once", snapshot=older, is_successor=True), tmp_path / "x")
    (tmp_path / "x").mkdir()
    first = (await once.back_up()).snapshot
    await append(once.installation, 4)
    await once.back_up()

    twice = await once.restored("twice", snapshot=first, is_successor=True)

    assert {"hillside~1", "hillside~2", "hillside"} <= {
        head.log for head in await twice.store.logs()
    }


async def test_a_fork_is_no_gap(tmp_path: Path) -> None:
    """A known checkpoint of the same size with another root is an incident, not a successor."""
    made = await scene(tmp_path)
    head = await made.installation.store.head("hillside")
    at = LogAt(head.log, head.origin, head.size, head.checkpoint)
    key = made.installation.public_key
    known = read_known([head.checkpoint], key)
    forged = {head.origin: {head.size: b"\1" * 32}}

    assert [] == logs_behind([at], known, key)
    with pytest.raises(Tampered) as caught:
        logs_behind([at], forged, key)
    assert "backup-forked" == caught.value.code


async def test_the_systems_log_is_always_succeeded(tmp_path: Path) -> None:
    """The entry that a snapshot was made comes after it: its index is used by no other entry."""
    made = await scene(tmp_path)
    await made.back_up_recorded()
    lost = await made.installation.store.head("system")

    installation = await made.restored()

    head = await installation.store.head("system")
    entries = [decode(raw) for raw in await installation.store.entries("system", 0, 2)]
    assert head.origin != lost.origin
    assert ["log.successor", "backup.restore"] == [said["action"] for said in entries]
    assert (lost.origin, {"from": lost.size - 1, "until": lost.size}) == (
        entries[0]["origin"],
        entries[0]["gap"],
    )
    assert lost.origin == (await installation.store.head("system~1")).origin


async def grown_twice(place: Path) -> tuple[Scene, str, str]:
    """Back up, restore that and go on in the same backup; return the first snapshot, an origin."""
    made = await scene(place)
    first = (await made.back_up()).snapshot
    new = Scene(await made.restored(), place)
    await new.back_up()
    return new, first, (await new.installation.store.head("system")).origin


async def test_a_snapshot_from_before_a_successor_is_no_way_back(tmp_path: Path) -> None:
    """It has nothing of the log that began since: not even --successor takes that back."""
    made, first, _ = await grown_twice(tmp_path)

    with pytest.raises(Conflict) as caught:
        await made.restore("third", snapshot=first, is_successor=True)

    assert "restore-lacks-log" == caught.value.code


async def test_a_log_is_given_up_by_its_origin(tmp_path: Path) -> None:
    """Whoever names it gets the older snapshot, and the entry says what was given up."""
    made, first, origin = await grown_twice(tmp_path)

    installation = await made.restored("third", snapshot=first, without=(origin,))

    said = decode((await installation.store.entries("system", 1, 2))[0])
    assert [origin] == [one["origin"] for one in said["lacking"]]


async def test_a_known_log_that_a_snapshot_lacks_is_known(tmp_path: Path) -> None:
    """A kept checkpoint of a tenant that came later refuses the snapshot from before."""
    made = await scene(tmp_path)
    await made.back_up()
    async with made.installation.write() as writer:
        await writer.open_tenant("brookside")
    await append(made.installation, 3, "brookside")
    kept = (await made.installation.store.head("brookside")).checkpoint

    with pytest.raises(Conflict) as caught:
        await made.restore(known=(kept,), is_successor=True)

    assert "restore-lacks-log" == caught.value.code


async def test_a_smaller_known_checkpoint_is_compared(tmp_path: Path) -> None:
    """A log that had another root when it was smaller is another history."""
    made = await scene(tmp_path)
    await append(made.installation, 20)
    await made.back_up()
    head = await made.installation.store.head("hillside")
    forged = sign_checkpoint(
        Checkpoint(head.origin, 7, b"\1" * 32),
        head.origin,
        made.installation.signing_key.sign,
        made.installation.public_key,
    )

    with pytest.raises(Tampered) as caught:
        await made.restore(known=(forged,))

    assert "backup-forked" == caught.value.code
    assert not (tmp_path / "new" / "keys" / "ring.json").exists()


async def test_a_smaller_known_checkpoint_that_fits_is_no_hindrance(tmp_path: Path) -> None:
    """What somebody kept a while ago is what the log was then."""
    made = await scene(tmp_path)
    await append(made.installation, 20)
    kept = (await made.installation.store.head("hillside")).checkpoint
    await append(made.installation, 20)
    await made.back_up()

    assert ("system",) == (await made.restore(known=(kept,))).succeeded


async def test_what_was_succeeded_is_not_succeeded_again(tmp_path: Path) -> None:
    """Nobody appends to a frozen log: that more was known of it is in its successor."""
    made, older = await two_snapshots(tmp_path)
    kept = (await made.installation.store.head("hillside")).checkpoint
    once = Scene(await made.restored("once", snapshot=older, is_successor=True), tmp_path / "x")
    await once.back_up()

    assert ("system",) == (await once.restore("twice", known=(kept,))).succeeded


async def test_a_checkpoint_of_another_key_is_not_believed(tmp_path: Path) -> None:
    """Nobody prevents a restoring by a checkpoint of their own."""
    made = await scene(tmp_path)
    other = await scene(tmp_path / "other")
    note = (await other.installation.store.head("hillside")).checkpoint

    with pytest.raises(Tampered):
        read_known([note], made.installation.public_key)
