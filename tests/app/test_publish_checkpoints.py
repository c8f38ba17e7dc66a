"""Publishing: what is asked of witnesses, what is kept, and what raises an alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cosigners import ed25519
from fake_witnesses import FakeWitness
from fakes import PUBLIC_KEY, FakeClock, MemoryLedger, MemoryStore
from publishing_scenes import LOG, ORIGIN, SYSTEM, VKEY, FakeStamps, Scene, begun, olds
from seawall.app.ports import SYSTEM_LOG, Posted
from seawall.app.publish_checkpoints import latest_witnessed
from seawall.app.read_ledger import ReadLedger
from seawall.core.errors import Tampered, Unavailable
from seawall.core.ledger.checkpoint import format_vkey
from seawall.core.ledger.cosignature import is_witnessed
from seawall.core.ledger.note import Note, read_lines, read_note
from seawall.core.ledger.proofs import verify_witnessed_proof

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.ports import Head


@pytest.fixture
async def scene() -> Scene:
    """Return a log of 3 entries that nobody has seen yet; the system's log has none."""
    return await begun()


async def test_a_round_shows_a_log_to_every_witness(scene: Scene) -> None:
    """A log that has grown is cosigned by all, kept as witnessed, and nothing is alarming."""
    await scene.publish.all()

    made = await latest_witnessed(scene.store, LOG)
    assert made is not None
    keys = [one.cosigner.key for one in scene.witnesses]
    now = scene.clock.now_ms() // 1000
    assert (3, True) == (made.size, made.is_witnessed)
    assert is_witnessed(made.note, VKEY, keys, 3, now=now)
    assert [] == scene.codes()


async def test_a_log_that_has_not_grown_is_left_alone(scene: Scene) -> None:
    """The next round asks nobody; nor does it for a log without entries."""
    await scene.publish.all()
    await scene.publish.all()

    assert [[0], [0], [0]] == [olds(one) for one in scene.witnesses]
    assert [] == await scene.store.published(SYSTEM_LOG)


async def test_growth_is_proved_from_what_each_witness_last_cosigned(scene: Scene) -> None:
    """The next submission goes from the size that this witness cosigned."""
    await scene.publish.all()
    scene.witnesses[0].is_down = True
    await scene.grow(300)
    await scene.publish.all()
    scene.witnesses[0].is_down = False
    await scene.grow(5)
    await scene.publish.all()

    assert [[0, 3, 3], [0, 3, 303], [0, 3, 303]] == [olds(one) for one in scene.witnesses]
    assert [3, 303, 308] == [made.size for made in await scene.store.published(LOG)]
    assert all(made.is_witnessed for made in await scene.store.published(LOG))


async def test_a_new_process_asks_the_witness_where_it_is(scene: Scene) -> None:
    """Without memory the first try is from zero; the 409 tells the size for the second."""
    await scene.publish.all()
    await scene.grow(4)
    scene.restart()
    await scene.publish.all()

    assert [0, 0, 3] == olds(scene.witnesses[0])
    assert 7 == (await scene.store.published(LOG))[-1].size
    assert [] == scene.codes()


async def test_a_new_process_shows_what_is_witnessed_once_more(scene: Scene) -> None:
    """After a restart each witness is asked once, from the size itself; what is kept stays."""
    await scene.publish.all()
    kept = await scene.store.published(LOG)
    scene.clock.advance(5)
    scene.restart()
    for _ in range(3):
        await scene.publish.all()

    assert [[0, 3]] * 3 == [olds(one) for one in scene.witnesses]
    assert kept == await scene.store.published(LOG)


async def test_two_replicas_do_not_undo_each_other(scene: Scene) -> None:
    """What one replica published witnessed, another that reaches nobody leaves as it is."""
    slower = scene.publish
    scene.witnesses[1].is_down = scene.witnesses[2].is_down = True
    await slower.all()
    scene.witnesses[1].is_down = scene.witnesses[2].is_down = False
    scene.restart()
    await scene.publish.all()
    for one in scene.witnesses:
        one.is_down = True
    await slower.all()

    assert await latest_witnessed(scene.store, LOG) is not None
    assert ["witnesses-missing"] == scene.codes()


async def test_a_stricter_policy_asks_again(scene: Scene) -> None:
    """What was witnessed by an older policy is shown again where it is not enough any more."""
    scene.restart(required=1, count=1)
    await scene.publish.all()
    scene.restart(required=3, count=3)
    await scene.publish.all()

    keys = [one.cosigner.key for one in scene.witnesses]
    note = (await scene.store.published(LOG))[-1].note
    assert is_witnessed(note, VKEY, keys, 3, now=scene.clock.now_ms() // 1000)


async def test_one_witness_less_than_all_is_enough(scene: Scene) -> None:
    """With one of three down, two suffice, and there is no alarm."""
    scene.witnesses[2].is_down = True
    await scene.publish.all()

    assert await latest_witnessed(scene.store, LOG) is not None
    assert [] == scene.codes()


async def test_too_few_witnesses_are_kept_as_such(scene: Scene) -> None:
    """A checkpoint that too few cosigned is kept and not witnessed, with one alarm for the row."""
    scene.witnesses[1].is_down = scene.witnesses[2].is_down = True
    await scene.publish.all()
    await scene.publish.all()

    assert [(3, False)] == [
        (made.size, made.is_witnessed) for made in await scene.store.published(LOG)
    ]
    assert await latest_witnessed(scene.store, LOG) is None
    assert [("witnesses-missing", LOG, None)] == scene.notifier.alarms


async def test_cosignatures_of_several_rounds_add_up(scene: Scene) -> None:
    """What one round brought is kept, where the log has not grown, for the next."""
    first, second, third = scene.witnesses
    third.is_down = second.is_down = True
    await scene.publish.all()
    first.is_down, second.is_down = True, False
    await scene.publish.all()

    made = await latest_witnessed(scene.store, LOG)
    assert made is not None
    assert 3 == made.size


async def test_the_alarm_comes_again_after_it_was_well(scene: Scene) -> None:
    """A second row of failures is told again."""
    for is_down in (True, False, True):
        scene.witnesses[1].is_down = scene.witnesses[2].is_down = is_down
        await scene.grow()
        await scene.publish.all()

    assert ["witnesses-missing"] * 2 == scene.codes()


async def test_a_rolled_back_log_is_told(scene: Scene) -> None:
    """A witness that cosigned more than the log holds is evidence: an alarm and an entry."""
    await scene.grow(5)
    await scene.publish.all()
    held = scene.ledger.logs[LOG]
    older = MemoryLedger()
    await older.open_log(LOG, ORIGIN)
    await older.open_log(SYSTEM_LOG, SYSTEM)
    for raw in held.entries[:4]:
        await older.append(LOG, {"action": "test", "text": raw.decode().split('"')[-2]})
    scene.ledger, scene.store = older, MemoryStore(older)
    scene.restart()

    await scene.publish.all()

    entry = older.bodies(SYSTEM_LOG)[0]
    assert {("log-forked", LOG, 0)} <= set(scene.notifier.alarms)
    assert ("ledger.alarm", "log-forked", ORIGIN) == (entry["action"], entry["code"], entry["log"])
    assert (4, 8, "w1.example") == (entry["size"], entry["cosigned"], entry["witness"])
    assert not any(made.is_witnessed for made in await scene.store.published(LOG))


@pytest.mark.parametrize("size", [3, 7], ids=["same size", "grown again"])
async def test_a_forked_log_is_told(scene: Scene, size: int) -> None:
    """A log that has other entries below what was cosigned is found out, at any size."""
    await scene.publish.all()
    forked = MemoryLedger()
    await forked.open_log(LOG, ORIGIN)
    await forked.open_log(SYSTEM_LOG, SYSTEM)
    scene.ledger, scene.store = forked, MemoryStore(forked)
    await scene.grow(size, text="other")
    scene.restart()

    await scene.publish.all()

    assert ["log-forked"] * 3 + ["witnesses-missing"] == scene.codes()
    assert {"w1.example", "w2.example", "w3.example"} == {
        entry["witness"] for entry in forked.bodies(SYSTEM_LOG)
    }


async def test_a_fork_is_told_once(scene: Scene) -> None:
    """The entry and the alarm of a fork are not repeated in every round."""
    await scene.publish.all()
    scene.ledger.logs[LOG].entries.clear()
    forked = MemoryLedger()
    await forked.open_log(LOG, ORIGIN)
    await forked.open_log(SYSTEM_LOG, SYSTEM)
    scene.ledger, scene.store = forked, MemoryStore(forked)
    await scene.grow(5, text="other")
    scene.restart()

    for _ in range(3):
        await scene.publish.publish(await scene.store.head(LOG))

    assert 3 == scene.codes().count("log-forked") == len(forked.bodies(SYSTEM_LOG))


async def test_a_fork_that_cannot_be_recorded_is_told_all_the_same(scene: Scene) -> None:
    """Where the ledger refuses the entry, the alarm comes without one, and again next round."""
    await scene.publish.all()
    forked = MemoryLedger()
    await forked.open_log(LOG, ORIGIN)
    await forked.open_log(SYSTEM_LOG, SYSTEM)
    scene.ledger, scene.store = forked, MemoryStore(forked)
    await scene.grow(3, text="other")
    forked.failing["ledger.alarm"] = Unavailable("ledger-unavailable", "slow", "wait")
    scene.restart(required=1, count=1)

    for _ in range(2):
        await scene.publish.all()

    assert [("log-forked", LOG, None)] * 2 == [
        alarm for alarm in scene.notifier.alarms if alarm[0] == "log-forked"
    ]


async def test_a_log_that_grew_meanwhile_is_no_fork(scene: Scene) -> None:
    """A witness that is ahead because another replica published is not believed to accuse."""
    older = await scene.store.head(LOG)
    await scene.grow(2)
    await scene.publish.all()
    scene.restart()

    await scene.publish.publish(older)

    assert "log-forked" not in scene.codes()
    assert [] == scene.ledger.bodies(SYSTEM_LOG)


async def test_a_log_under_another_key_is_refused_and_told(scene: Scene) -> None:
    """A witness that trusts another key for the log refuses, and that is an alarm."""
    other = format_vkey(ORIGIN, ed25519("another.example").key.public_key)
    scene.witnesses = [FakeWitness("w1.example", scene.clock, other)]
    scene.restart(required=1)
    await scene.publish.all()

    assert ["witness-refuses", "witnesses-missing"] == scene.codes()


async def test_a_witness_that_does_not_know_the_log_is_told(scene: Scene) -> None:
    """A witness whose operator has not added the log's key is an alarm of its own."""
    scene.witnesses = [FakeWitness("w1.example", scene.clock)]
    scene.restart(required=1)
    await scene.publish.all()

    assert ["witness-refuses", "witnesses-missing"] == scene.codes()


def flipped(answer: Posted) -> Posted:
    """Change the last signature byte of an answer's line."""
    (line,) = read_lines(answer.body.decode())
    changed = line.signature[:-1] + bytes([line.signature[-1] ^ 1])
    return replace(answer, body=str(replace(line, signature=changed)).encode())


def of_a_stranger(answer: Posted) -> Posted:
    """Answer with the line of another key."""
    (line,) = read_lines(answer.body.decode())
    return replace(answer, body=str(replace(line, name="stranger.example")).encode())


@pytest.mark.parametrize(
    "changing",
    [
        flipped,
        of_a_stranger,
        lambda answer: replace(answer, body=b""),
        lambda answer: replace(answer, body=b"\xff\xfe\n"),
        lambda answer: replace(answer, body=b"<html>hello</html>"),
        lambda answer: replace(answer, body=answer.body + b"no newline"),
    ],
    ids=["bad signature", "unknown key", "empty", "not text", "html", "cut"],
)
async def test_a_bad_answer_counts_for_nothing_and_is_told(
    scene: Scene, changing: Callable[[Posted], Posted]
) -> None:
    """An answer without a good line of the known key is not kept; the other two suffice."""
    scene.witnesses[0].changing = changing
    await scene.publish.all()

    made = await latest_witnessed(scene.store, LOG)
    assert made is not None
    assert {"w2.example", "w3.example"} == {
        line.name for line in read_note(made.note).lines if line.name != ORIGIN
    }
    assert ["witness-cosignature-bad"] == scene.codes()


async def test_lines_of_unknown_keys_beside_the_known_one_are_ignored(scene: Scene) -> None:
    """A second line, of a key that is not configured, is left out without an alarm."""
    second = ed25519("w1.example/second")

    def two(answer: Posted) -> Posted:
        """Add a line of another key."""
        text = read_note(scene_note).text
        line = second.cosign(str(Note(text, read_note(scene_note).lines)))
        return replace(answer, body=answer.body + str(line).encode())

    scene_note = (await scene.store.head(LOG)).checkpoint
    scene.witnesses[0].changing = two
    await scene.publish.all()

    made = await latest_witnessed(scene.store, LOG)
    assert made is not None
    assert 4 == len(read_note(made.note).lines)
    assert [] == scene.codes()


async def test_a_cosignature_from_the_future_is_told(scene: Scene) -> None:
    """A witness whose clock runs far ahead is not counted."""
    ahead = FakeClock()
    ahead.advance(3_600)
    scene.witnesses[0] = FakeWitness("w1.example", ahead, VKEY)
    scene.restart()
    await scene.publish.all()

    assert ["witness-cosignature-bad"] == scene.codes()


@pytest.mark.parametrize("status", [302, 409, 500, 503])
async def test_an_answer_of_no_meaning_counts_as_none(scene: Scene, status: int) -> None:
    """A status without the protocol's meaning is a witness that did not answer."""
    scene.witnesses[0].changing = lambda _: Posted(status, "text/html", b"5\n")
    await scene.publish.all()

    assert await latest_witnessed(scene.store, LOG) is not None
    assert [] == scene.codes()


async def test_a_witness_that_keeps_naming_sizes_is_asked_twice(scene: Scene) -> None:
    """After one retry with the told size the witness is left for the next round."""
    scene.witnesses[0].changing = lambda _: Posted(409, "text/x.tlog.size", b"2\n")
    await scene.publish.all()

    assert [0, 2] == olds(scene.witnesses[0])
    assert [] == scene.codes()


async def test_a_witness_from_before_the_pruning_counts_as_missing(scene: Scene) -> None:
    """Where pruning took what a proof would need, the witness is missing, and nothing accuses."""
    scene.witnesses[0].changing = lambda _: Posted(409, "text/x.tlog.size", b"2\n")
    await scene.grow(600)
    held = scene.ledger.logs[LOG]
    held.minimum = 512
    held.tiles = {place: tile for place, tile in held.tiles.items() if place > (0, 1)}
    await scene.publish.all()

    assert [0] == olds(scene.witnesses[0])
    assert [] == scene.codes()


async def test_broken_tiles_are_told_and_stop_no_other_log(scene: Scene) -> None:
    """A log whose tiles do not bear a proof is an alarm; the other log is published."""
    await scene.publish.all()
    await scene.grow(300)
    await scene.grow(2, SYSTEM_LOG)
    scene.ledger.logs[LOG].tiles.clear()
    await scene.publish.all()

    assert {"tile-too-short", "witnesses-missing"} == set(scene.codes())
    assert await latest_witnessed(scene.store, SYSTEM_LOG) is not None


async def test_a_checkpoint_of_another_key_stops_no_other_log(scene: Scene) -> None:
    """A head that does not verify raises in the end, after the other logs were published."""

    class Forging(MemoryStore):
        """A store whose clinic log is signed under another name."""

        async def logs(self) -> list[Head]:
            """Return every log, one of them changed."""
            return [
                replace(head, vkey=format_vkey("x", PUBLIC_KEY)) if head.log == LOG else head
                for head in await super().logs()
            ]

    await scene.grow(2, SYSTEM_LOG)
    scene.store = Forging(scene.ledger)
    scene.restart()

    with pytest.raises(Tampered):
        await scene.publish.all()
    assert await latest_witnessed(scene.store, SYSTEM_LOG) is not None


async def test_a_published_checkpoint_is_stamped_over_its_text(scene: Scene) -> None:
    """The time stamp is over the signed text alone, as bytes, and kept with the note."""
    scene.stamps = FakeStamps()
    scene.restart()
    await scene.publish.all()

    made = (await scene.store.published(LOG))[-1]
    text = read_note((await scene.store.head(LOG)).checkpoint).text.encode()
    assert [text] == scene.stamps.stamped
    assert b"stamp of " + text == made.stamp


@pytest.mark.parametrize(
    "fault", [Unavailable("time-stamp-failed", "x", "y"), Tampered("time-stamp-untrusted", "x", "")]
)
async def test_a_failing_authority_blocks_nothing(scene: Scene, fault: Exception) -> None:
    """Without a stamp the checkpoint is published all the same; the stamp comes a round later."""
    scene.stamps = FakeStamps()
    scene.stamps.fault = fault
    scene.restart()
    await scene.publish.all()
    without = await latest_witnessed(scene.store, LOG)
    scene.stamps.fault = None
    await scene.publish.all()

    made = await latest_witnessed(scene.store, LOG)
    assert without is not None
    assert made is not None
    assert (None, True) == (without.stamp, made.stamp is not None)
    assert ["time-stamp-missing"] == scene.codes()
    assert [0] == olds(scene.witnesses[0])


async def test_stamps_alone_are_published_too(scene: Scene) -> None:
    """Without witnesses a checkpoint is stamped and kept, and never counts as witnessed."""
    scene.stamps = FakeStamps()
    scene.restart(required=0, count=0)
    await scene.publish.all()
    await scene.publish.all()

    made = await scene.store.published(LOG)
    assert [(3, False)] == [(one.size, one.is_witnessed) for one in made]
    assert 1 == len(scene.stamps.stamped)
    assert [] == scene.codes()


async def test_a_proof_rests_on_the_witnessed_checkpoint(scene: Scene) -> None:
    """The proof of an entry carries the cosignatures, and meets a stranger's policy."""
    await scene.publish.all()
    await scene.grow(2)

    text = await ReadLedger(scene.store).proof(LOG, 1)

    raw = scene.ledger.logs[LOG].entries[1]
    keys = [one.cosigner.key for one in scene.witnesses]
    now = scene.clock.now_ms() // 1000
    assert 3 == verify_witnessed_proof(text, raw, VKEY, keys, 3, now=now).size


async def test_a_ledger_that_cannot_keep_facts_is_an_error_of_the_round(scene: Scene) -> None:
    """Where the outcome cannot be kept the round fails, and the next one does it again."""
    scene.ledger.down = Unavailable("ledger-unavailable", "slow", "wait")
    with pytest.raises(Unavailable):
        await scene.publish.all()
    scene.ledger.down = None
    await scene.publish.all()

    assert await latest_witnessed(scene.store, LOG) is not None
