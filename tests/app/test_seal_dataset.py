"""Data sets are sealed with an entry, and open by an entry that comes first."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from datasets_scene import PRINCIPAL, PROOF, ROWS, TENANT, Practice, ndjson_file, read_ndjson
from fake_keys import RECEIPT_KEY
from fakes import FakeRandom
from seawall.adapters.datasets.parquet import ParquetDatasets
from seawall.app.ports import Rows, ShredSubjects
from seawall.app.seal_dataset import describe, subject_of
from seawall.app.step_up import Proof
from seawall.core.errors import Error, Invalid, Missing, Refused, Tampered, Unavailable
from seawall.core.policy.grant import Grant, check
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def practice(tmp_path: Path) -> Practice:
    """Return a practice with one tenant."""
    return await Practice(tmp_path).begin()


async def test_what_was_sealed_opens(practice: Practice) -> None:
    """Rows come out as they went in, and both acts say who, what and how much."""
    sealed = await practice.seal(ndjson_file(practice.folder))
    opened = await practice.open()

    assert list(ROWS) == read_ndjson(practice.folder / "out.ndjson")
    assert ("visits", 4, 2, 0) == (sealed.name, sealed.columns, sealed.written.rows, sealed.entry)
    assert (sealed.file, ("mrn", "name", "age", "note"), 2, 1) == (
        opened.file,
        opened.columns,
        opened.rows,
        opened.entry,
    )


async def test_the_entries_hold_no_name_of_a_column_and_no_value(practice: Practice) -> None:
    """Counts and digests are all that they say."""
    sealed = await practice.seal(ndjson_file(practice.folder))
    await practice.open("age")

    seal, opening = practice.entries("dataset.seal")[0], practice.entries("dataset.open")[0]

    assert {
        "actor",
        "action",
        "at",
        "columns",
        "dataset",
        "file",
        "item",
        "newest",
        "record",
        "rows",
        "schema",
        "size",
        "tenant",
        "v",
    } == set(seal)
    assert (sealed.written.digest, "visits", 2, 4) == (
        seal["file"],
        seal["dataset"],
        seal["rows"],
        seal["columns"],
    )
    assert ("some", 1, "HRESCH", sealed.written.digest) == (
        opening["opened"],
        opening["asked"],
        opening["decision"]["purpose"]["hl7"],
        opening["file"],
    )
    assert not any(word in str(seal) + str(opening) for word in ("mrn", "Tindle", "note"))


async def test_opening_is_recorded_before_anything_opens(practice: Practice) -> None:
    """Where the ledger takes no entry, no key is opened and no file is made."""
    await practice.seal(ndjson_file(practice.folder))
    practice.ledger.failing["dataset.open"] = Unavailable("ledger-unavailable", "down", "wait")

    with pytest.raises(Unavailable):
        await practice.open()

    assert ([], False) == (practice.keys.opened, (practice.folder / "out.ndjson").exists())


@pytest.mark.parametrize(
    ("proof", "code"), [(None, "step-up-needed"), (Proof("ada", "000000"), "step-up-failed")]
)
async def test_opening_takes_an_operators_second_factor(
    practice: Practice, proof: Proof | None, code: str
) -> None:
    """A shell alone opens nothing, and records no opening."""
    await practice.seal(ndjson_file(practice.folder))

    with pytest.raises(Refused) as caught:
        await practice.open(proof=proof)

    assert (code, [], []) == (
        caught.value.code,
        practice.keys.opened,
        practice.entries("dataset.open"),
    )


async def test_opening_is_recorded_in_the_operators_name(practice: Practice) -> None:
    """Not in the name of whoever has the shell."""
    await practice.seal(ndjson_file(practice.folder))

    await practice.open()

    assert {"kind": "operator", "name": "ada"} == practice.entries("dataset.open")[0]["actor"]


async def test_columns_that_are_not_asked_for_stay_closed(practice: Practice) -> None:
    """Only two records, the footer and the column that was asked for are opened."""
    sealed = await practice.seal(ndjson_file(practice.folder))

    await practice.open("age")

    assert [{"age": 71}, {"age": 8}] == read_ndjson(practice.folder / "out.ndjson")
    assert [sealed.file, "visits", f"{sealed.file}.footer", f"{sealed.file}.c2"] == [
        context.item for context in practice.keys.opened
    ]


@pytest.mark.parametrize(
    ("columns", "code"),
    [(("age", "weight"), "column-missing"), (("age", "age"), "columns-unclear")],
)
async def test_columns_that_are_not_there_are_told_by_place(
    practice: Practice, columns: tuple[str, ...], code: str
) -> None:
    """What somebody typed is not repeated."""
    await practice.seal(ndjson_file(practice.folder))

    with pytest.raises(Error) as caught:
        await practice.open(*columns)

    assert (code, False) == (caught.value.code, "weight" in str(caught.value))


async def test_nothing_is_opened_for_no_column(practice: Practice) -> None:
    """An empty choice means none, and is refused."""
    await practice.seal(ndjson_file(practice.folder))
    rows = Rows(practice.folder / "out.ndjson", "ndjson")

    with pytest.raises(Invalid) as caught:
        await practice.intent.open(
            PRINCIPAL,
            PROOF,
            Purpose.RESEARCH,
            practice.sealed,
            rows,
            columns=[],
        )

    assert "columns-unclear" == caught.value.code


@pytest.mark.parametrize("columns", [("age ", " mrn"), (" age", "mrn")])
async def test_spaces_around_a_columns_name_are_let_go(
    practice: Practice, columns: tuple[str, ...]
) -> None:
    """`age, mrn` means both columns, as people write lists."""
    await practice.seal(ndjson_file(practice.folder))

    assert ("age", "mrn") == (await practice.open(*columns)).columns


async def test_spaces_that_a_column_has_count(practice: Practice) -> None:
    """Where two names differ by a space alone, each is itself; twice the same is refused."""
    await practice.seal(ndjson_file(practice.folder, {"age": 1, " age": 2}))

    assert (" age", "age") == (await practice.open(" age", "age")).columns
    with pytest.raises(Invalid):
        await practice.open("age", "age ", to="twice.ndjson")


async def test_what_can_be_seen_before_is_refused_before(practice: Practice) -> None:
    """No code is spent and no entry written for a file that is there, or columns that are none."""
    await practice.seal(ndjson_file(practice.folder))
    (practice.folder / "taken.ndjson").touch()
    codes = []

    for columns, to, item in (
        ((), "taken.ndjson", None),
        ((), "none/out.ndjson", None),
        (("age", "age"), "out.ndjson", None),
        ((), "out.ndjson", "ab" * 12),
    ):
        with pytest.raises(Error) as caught:
            await practice.open(*columns, to=to, item=item)
        codes.append(caught.value.code)

    assert ["file-exists", "file-unwritable", "columns-unclear", "dataset-another"] == codes
    assert (0, []) == (practice.step_up.tries, practice.entries("dataset.open"))


async def test_how_an_opening_ended_is_recorded(practice: Practice) -> None:
    """A second entry says how many rows came out, or why none did."""
    sealed = await practice.seal(ndjson_file(practice.folder))
    opened = await practice.open()
    with pytest.raises(Missing):
        await practice.open("weight", to="none.ndjson")

    first, second = practice.entries("dataset.opened")
    assert ("visits", sealed.file, opened.entry, "opened", 2) == tuple(
        first[name] for name in ("dataset", "item", "intent", "outcome", "rows")
    )
    assert ("failed", "column-missing", False, {"kind": "operator", "name": "ada"}) == (
        second["outcome"],
        second["code"],
        "rows" in second,
        second["actor"],
    )


async def test_an_error_is_told_though_the_ledger_is_gone_by_then(practice: Practice) -> None:
    """That its end was not recorded hides not why nothing was opened."""
    await practice.seal(ndjson_file(practice.folder))
    practice.ledger.failing["dataset.opened"] = Unavailable("ledger-unavailable", "down", "wait")

    with pytest.raises(Missing) as caught:
        await practice.open("weight")

    assert "column-missing" == caught.value.code


async def test_names_of_columns_cannot_be_guessed_from_the_ledger(practice: Practice) -> None:
    """What stands for them is keyed: the same names in another tenant are said otherwise."""
    await practice.begin("hillside")
    await practice.seal(ndjson_file(practice.folder))
    [said] = [body["schema"] for body in practice.entries("dataset.seal")]
    names = ["mrn", "name", "age", "note"]
    guesses = [json.dumps(names), json.dumps(names, separators=(",", ":")), ",".join(names)]
    [elsewhere] = await practice.keys.blind("hillside", [f"dataset.columns\n{guesses[0]}"])
    [here] = await practice.keys.blind(TENANT, [f"dataset.columns\n{guesses[0]}"])

    assert said == here != elsewhere
    assert not any(hashlib.sha256(one.encode()).hexdigest() in said for one in guesses)


async def test_an_older_file_does_not_pass_for_the_newer(practice: Practice) -> None:
    """Of two files sealed under one name the later one opens; nothing of the older comes out."""
    await practice.seal(ndjson_file(practice.folder), to="older")
    await practice.seal(ndjson_file(practice.folder, {"mrn": "00419"}), to="newer")
    (practice.folder / "newer.parquet").rename(practice.folder / "kept.parquet")
    (practice.folder / "older.parquet").rename(practice.folder / "newer.parquet")

    with pytest.raises(Refused) as caught:
        await practice.open(file="newer", expected="visits")

    assert ("dataset-older", "--file" in caught.value.help) == (caught.value.code, True)
    assert not (practice.folder / "out.ndjson").exists()
    assert "dataset-older" == practice.entries("dataset.opened")[0]["code"]
    assert 1 == (await practice.open(file="kept")).rows


async def test_an_older_file_opens_when_it_is_asked_for_by_its_id(practice: Practice) -> None:
    """Whoever names the very file means it, and the entry says so."""
    sealed = await practice.seal(ndjson_file(practice.folder))
    await practice.seal(ndjson_file(practice.folder), to="newer")

    opened = await practice.open(item=sealed.file)

    assert (2, True) == (opened.rows, practice.entries("dataset.open")[0]["by_id"])


async def test_not_to_know_which_file_is_the_newest_is_refused(practice: Practice) -> None:
    """Where that record is gone, no file passes for the newest."""
    await practice.seal(ndjson_file(practice.folder))
    for place in [place for place in practice.ledger.kept if "dataset.newest" in place]:
        del practice.ledger.kept[place]

    with pytest.raises(Refused) as caught:
        await practice.open()

    assert "dataset-older" == caught.value.code


async def test_sealing_that_is_not_recorded_leaves_no_file(practice: Practice) -> None:
    """The file gets its name only after its entry is durable."""
    practice.ledger.failing["dataset.seal"] = Unavailable("ledger-unavailable", "down", "wait")

    with pytest.raises(Unavailable):
        await practice.seal(ndjson_file(practice.folder))

    assert ["rows.ndjson"] == sorted(path.name for path in practice.folder.iterdir())


async def test_another_tenants_data_set_is_refused(practice: Practice) -> None:
    """Nothing crosses tenants, and the other tenant's log says nothing."""
    await practice.begin("hillside")
    await practice.seal(ndjson_file(practice.folder))

    with pytest.raises(Refused) as caught:
        await practice.open(principal=Principal("operator", "operator", "hillside"))

    assert ("dataset-foreign", []) == (caught.value.code, practice.ledger.bodies("hillside"))


async def test_a_file_does_not_pass_for_another_by_its_name(practice: Practice) -> None:
    """Whoever expects one data set does not get another that was renamed."""
    await practice.seal(ndjson_file(practice.folder), "labs")

    with pytest.raises(Refused) as caught:
        await practice.open(expected="visits")

    assert "dataset-another" == caught.value.code


async def test_the_grant_does_not_open_another_data_set(practice: Practice) -> None:
    """The recorded terms name one data set; the key ring refuses the keys of another."""
    await practice.seal(ndjson_file(practice.folder), "visits")
    await practice.seal(ndjson_file(practice.folder), "labs", to="labs")
    await practice.open()
    receipt = await practice.ledger.append(TENANT, practice.entries("dataset.open")[0])
    async with ParquetDatasets(FakeRandom()).opening(practice.folder / "labs.parquet") as held:
        context = held.sealed_keys["footer"].context

    with pytest.raises(Refused) as caught:
        check(
            Grant(receipt),
            context,
            receipt_key=RECEIPT_KEY,
            tenant=TENANT,
            now_ms=practice.clock.now_ms(),
        )

    assert "grant-exceeded" == caught.value.code


async def test_a_grant_that_has_expired_opens_nothing(practice: Practice) -> None:
    """If more than ten minutes go by between the entry and the keys, they stay closed."""
    await practice.seal(ndjson_file(practice.folder))
    appending = practice.ledger.append

    async def slow(*given: Any) -> Any:
        """Record, and take too long."""
        receipt = await appending(*given)
        practice.clock.advance(601)
        return receipt

    practice.ledger.append = slow  # type: ignore[method-assign,assignment]
    with pytest.raises(Refused) as caught:
        await practice.open()

    assert ("grant-expired", []) == (caught.value.code, practice.keys.opened)


async def test_a_changed_file_is_not_the_one_that_was_recorded(practice: Practice) -> None:
    """Each byte counts, also those that no encryption covers; it alarms and names the entry."""
    await practice.seal(ndjson_file(practice.folder))
    raw = practice.sealed.read_bytes()
    seen: set[Any] = set()

    for number, place in enumerate(range(0, len(raw), 101)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        (practice.folder / "x.parquet").write_bytes(changed)
        with pytest.raises(Error) as caught:
            await practice.open(file="x", to=f"{number}")
        seen.add(caught.value.code)

    opened = len(practice.entries("dataset.open"))
    assert {"dataset-tampered", "dataset-unsealed", "dataset-unknown", "dataset-foreign"} >= seen
    assert {"dataset-tampered"} == {code for code, _, _ in practice.notifier.alarms}
    assert 1 <= len(practice.notifier.alarms) <= opened
    assert practice.keys.opened == [one for one in practice.keys.opened if "." not in one.item]


async def test_keys_of_another_file_make_no_data_set(practice: Practice) -> None:
    """Where one sealed key is that of another file, nothing is even asked to open."""
    source = ndjson_file(practice.folder)
    await practice.seal(source)
    await practice.seal(source, to="second")
    adapter = ParquetDatasets(FakeRandom())
    async with adapter.opening(practice.folder / "second.parquet") as other:
        pasted = other.sealed_keys["c1"]

    async with adapter.opening(practice.sealed) as held:
        held.sealed_keys = {**held.sealed_keys, "c1": pasted}
        with pytest.raises(Tampered) as caught:
            describe(held)

    assert "dataset-tampered" == caught.value.code


@pytest.mark.parametrize("without", ["footer", "c0"])
async def test_keys_that_are_missing_make_no_data_set(practice: Practice, without: str) -> None:
    """The footer's key and each column's must be there."""
    await practice.seal(ndjson_file(practice.folder))

    async with ParquetDatasets(FakeRandom()).opening(practice.sealed) as held:
        held.sealed_keys = {
            name: sealed for name, sealed in held.sealed_keys.items() if name != without
        }
        with pytest.raises(Tampered):
            describe(held)


async def test_another_sealed_file_in_its_place_is_found_out(practice: Practice) -> None:
    """A file of the same name in the ledger's words, but not the one that its record is of."""
    await practice.seal(ndjson_file(practice.folder))
    record = next(iter(practice.ledger.kept.values()))
    await practice.seal(ndjson_file(practice.folder, {"a": 1}), to="second")
    for place, kept in list(practice.ledger.kept.items()):
        if kept is not record:
            practice.ledger.kept[place] = record

    with pytest.raises(Tampered) as caught:
        await practice.open(file="second")

    assert ("dataset-tampered", [("dataset-tampered", TENANT, caught.value.entry)]) == (
        caught.value.code,
        practice.notifier.alarms,
    )


async def test_a_data_set_that_nobody_recorded_does_not_open(practice: Practice) -> None:
    """Without its record, as after shredding, there is no opening."""
    await practice.seal(ndjson_file(practice.folder))
    practice.ledger.kept.clear()

    with pytest.raises(Missing) as caught:
        await practice.open()

    assert ("dataset-unknown", []) == (caught.value.code, practice.keys.opened)


async def test_shredding_its_subject_closes_a_data_set(practice: Practice) -> None:
    """One data set is shredded like one patient; a second stays open."""
    await practice.seal(ndjson_file(practice.folder))
    await practice.seal(ndjson_file(practice.folder), "labs", to="labs")
    await practice.ledger.append(
        TENANT,
        {"action": "keys.shred", "tenant": TENANT},
        [ShredSubjects(TENANT, (subject_of("visits"),))],
    )

    with pytest.raises(Missing):
        await practice.open()

    assert 2 == (await practice.open(file="labs")).rows


@pytest.mark.parametrize("name", ["", "Visits", "../visits", "a/b", "x" * 64, "visits "])
async def test_a_name_that_is_none_is_refused(practice: Practice, name: str) -> None:
    """Names are document names: no path, no capital letters, nothing that somebody could be."""
    with pytest.raises(Invalid) as caught:
        await practice.seal(ndjson_file(practice.folder), name)

    assert "dataset-name" == caught.value.code


async def test_what_a_file_says_of_itself(practice: Practice) -> None:
    """Tenant, name, id and size are readable without any key, and nothing else is."""
    sealed = await practice.seal(ndjson_file(practice.folder))

    async with ParquetDatasets(FakeRandom()).opening(practice.sealed) as held:
        described = describe(held)

    assert (TENANT, "visits", sealed.file, 4, sealed.written.size, sealed.written.digest) == (
        described.tenant,
        described.name,
        described.file,
        described.columns,
        described.size,
        described.digest,
    )


async def test_a_copy_is_the_same_data_set(practice: Practice) -> None:
    """The file may be moved and renamed: what it is lies in it."""
    await practice.seal(ndjson_file(practice.folder))
    shutil.copy(practice.sealed, practice.folder / "moved.parquet")

    assert 2 == (await practice.open(file="moved")).rows


async def test_sealing_does_not_hold_up_the_loop(practice: Practice) -> None:
    """While rows are sealed on a thread, other work goes on."""
    source = practice.folder / "many.csv"
    source.write_bytes(b"a,b\n" + b"1,2\n" * 200_000)
    ticks = 0

    async def ticking() -> None:
        """Count."""
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    beside = asyncio.create_task(ticking())
    await practice.seal(source, form="csv")
    beside.cancel()

    assert ticks > 3
