"""The package for an audit: what it holds, that a stranger verifies it, that a change is seen."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fhir.resources.R4B.auditevent import AuditEvent

from fakes import FakeClock, MemoryLedger, MemoryStore
from naive_proofs import leads_to
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import Archived, KeepArchived, KeepPublished, Published, Query
from seawall.app.produce import MOST_FILES, MOST_PROOFS, Order, ProduceAudit
from seawall.app.prove_entries import ProveEntries
from seawall.core.audit.balp import violations
from seawall.core.errors import Invalid
from seawall.core.ledger.facets import moment_text

if TYPE_CHECKING:
    from pathlib import Path

LOG, ORIGIN = "clinic", "localhost/log/0011223344556677"
ONE, TWO = "a" * 24, "b" * 24


async def filled(count: int) -> MemoryLedger:
    """Return a log of entries a second apart, about one patient, the other, or both."""
    ledger = MemoryLedger()
    await ledger.open_log(LOG, ORIGIN)
    for number in range(count):
        entry = {
            "v": 1,
            "at": moment_text(number * 1_000),
            "action": "phi.open",
            "tenant": "harborview",
            "actor": {"kind": "client", "name": "app"},
            "patients": ([ONE], [TWO], [ONE, TWO])[number % 3],
        }
        await ledger.append(LOG, entry)
    await IndexLedger(store=MemoryStore(ledger), ledger=ledger).caught_up(LOG)
    return ledger


def verifier_source() -> dict[str, bytes]:
    """Return the auditor's programs."""
    folder = resources("seawall.verifier")
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.endswith(".py")}


async def produced(
    ledger: MemoryLedger,
    folder: Path,
    query: Query | None = None,
    most_proofs: int = MOST_PROOFS,
    **order: Any,
) -> dict[str, Any]:
    """Write a package into a folder; return its manifest."""
    store, size = MemoryStore(ledger), ledger.logs[LOG].edge.size
    making = ProduceAudit(
        store=store, clock=FakeClock(), verifier=verifier_source(), most_proofs=most_proofs
    )
    asked = Order(LOG, query or Query(), size, "operator/operator", 7, **order)
    async for name, content in making.package(asked):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as out:
            out.write(content)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return manifest


def verify(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the package's own program as a stranger: no path of ours, no environment."""
    return run(folder, "verifier/package.py", ".", *arguments)


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Run a Python program of a package in its folder, isolated; return status and output."""
    done = subprocess.run(  # noqa: S603  the interpreter that runs the tests
        [sys.executable, "-I", "-B", *command],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def test_a_stranger_verifies_a_package(tmp_path: Path) -> None:
    """The contained program accepts it, alone, and with the key brought from elsewhere."""
    manifest = await produced(await filled(300), tmp_path)

    status, said = verify(tmp_path, "--vkey", manifest["vkey"])

    assert (0, "VERIFIED.") == (status, said.splitlines()[-1]), said
    assert "compare it with the operator's" in verify(tmp_path)[1]


async def test_every_proof_leads_to_the_signed_root(tmp_path: Path) -> None:
    """A verifier written from RFC 6962's definition agrees, for every entry."""
    manifest = await produced(await filled(259), tmp_path)
    public = base64.b64decode(manifest["vkey"].split("+", 2)[2])[1:]

    for line in lines(tmp_path / "entries.jsonl"):
        proof = (tmp_path / f"proofs/{line['index']}.tlog-proof").read_text("utf-8")
        head, _, note = proof.partition("\n\n")
        body, _, signature = note.partition("\n\n")
        signed = base64.b64decode(signature.split()[2])
        Ed25519PublicKey.from_public_bytes(public).verify(signed[4:], f"{body}\n".encode())
        _, size, root = body.split("\n")
        path = [base64.b64decode(one) for one in head.split("\n")[2:]]
        leaf = hashlib.sha256(
            b"\x00"
            + json.dumps(
                line["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
        ).digest()
        assert base64.b64decode(root) == leads_to(line["index"], int(size), leaf, path)
        assert line["leaf"] == leaf.hex()


async def test_the_manifest_says_what_it_is(tmp_path: Path) -> None:
    """Period, counts, who, when, under which reading, and each file with its digest."""
    query = Query((("patient", ONE),), since_ms=3_000, until_ms=9_000)
    manifest = await produced(await filled(12), tmp_path, query)
    named = manifest.pop("files")

    assert {
        "v": 1,
        "log": ORIGIN,
        "vkey": manifest["vkey"],
        "size": 12,
        "period": {"from": "1970-01-01T00:00:03.000Z", "to": "1970-01-01T00:00:09.000Z"},
        "patient": ONE,
        "entries": 4,
        "audit_events": 4,
        "proofs": 4,
        "whole_log": False,
        "made_at": "2026-03-02T09:30:00.000Z",
        "made_by": "operator/operator",
        "recorded_as": 7,
        "seconds": 0.0,
    } == manifest
    for name, said in named.items():
        raw = (tmp_path / name).read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (said["bytes"], said["sha256"])


async def test_a_package_about_a_patient_holds_nobody_elses_entries(tmp_path: Path) -> None:
    """Entries and events are of the one patient, and no copy of the whole log is beside them."""
    query = Query((("patient", ONE),))
    manifest = await produced(await filled(12), tmp_path, query, whole_log=True)
    events = lines(tmp_path / "fhir" / "audit-events.ndjson")

    assert [0, 2, 3, 5, 6, 8, 9, 11] == [one["index"] for one in lines(tmp_path / "entries.jsonl")]
    assert (False, False) == (manifest["whole_log"], (tmp_path / "log").exists())
    assert TWO not in json.dumps(events)
    assert 0 == verify(tmp_path)[0]


async def test_the_audit_events_are_valid(tmp_path: Path) -> None:
    """FHIR's rules and those of IHE's patterns hold; entries about two patients make two."""
    manifest = await produced(await filled(6), tmp_path)
    events = lines(tmp_path / "fhir" / "audit-events.ndjson")
    for event in events:
        AuditEvent.model_validate(event)

    assert [[]] * 8 == [violations(event) for event in events]
    assert 8 == manifest["audit_events"]


async def test_the_whole_log_is_there_on_demand(tmp_path: Path) -> None:
    """The copy verifies by the auditor's other program, out of the package."""
    await produced(await filled(5), tmp_path, Query(since_ms=3_000), whole_log=True)

    assert 0 == run(tmp_path, "verifier", "log")[0]
    assert 0 == verify(tmp_path)[0]


async def test_many_entries_are_proved_by_the_whole_log(tmp_path: Path) -> None:
    """Above the size rule there are no single proofs; each entry is compared with the copy."""
    manifest = await produced(await filled(300), tmp_path, most_proofs=299)

    status, said = verify(tmp_path)

    assert (0, True, 0) == (status, manifest["whole_log"], manifest["proofs"]), said
    assert "300 entries are in log/" in said
    assert not (tmp_path / "proofs").exists()


async def test_an_empty_period_is_a_package_too(tmp_path: Path) -> None:
    """Nothing found is an answer: a signed checkpoint, and no entry."""
    manifest = await produced(await filled(3), tmp_path, Query(since_ms=99_000))

    assert (0, 0) == (manifest["entries"], verify(tmp_path)[0])


async def test_published_checkpoints_are_in_it(tmp_path: Path) -> None:
    """The earliest that covers the entries, and the newest, with cosignatures and time stamps."""
    ledger = await filled(5)
    head = await MemoryStore(ledger).head(LOG)
    for size, witnessed in ((2, True), (5, True)):
        note = head.checkpoint if size == 5 else "an older one"
        made = Published(LOG, size, 0, note, witnessed, b"stamp" if size == 5 else None)
        await ledger.remember([KeepPublished(made)])

    await produced(ledger, tmp_path)

    assert ["5"] == [path.name for path in (tmp_path / "published").iterdir()]
    assert b"stamp" == (tmp_path / "published" / "5" / "stamp.tsr").read_bytes()
    assert 0 == verify(tmp_path)[0]


async def test_an_older_checkpoint_that_covers_the_entries_is_in_it(tmp_path: Path) -> None:
    """The earliest says best since when they were there; what lies between is left out."""
    ledger = await filled(5)
    store, note = MemoryStore(ledger), ""
    for number in range(3):
        note = (await store.head(LOG)).checkpoint
        made = Published(LOG, ledger.logs[LOG].edge.size, 0, note, is_witnessed=False)
        await ledger.remember([KeepPublished(made)])
        await ledger.append(LOG, {"at": moment_text(90_000 + number), "action": "x.y"})

    await produced(ledger, tmp_path, Query(until_ms=4_000))

    assert ["5", "7"] == sorted(path.name for path in (tmp_path / "published").iterdir())
    assert 0 == verify(tmp_path)[0]


async def test_a_pruned_log_says_what_is_not_there(tmp_path: Path) -> None:
    """Entries that the archives have are neither in the package nor passed over in silence."""
    ledger = await filled(260)
    for archive in "ab":
        await ledger.remember([KeepArchived(Archived(LOG, 0, archive, "1", "sha256:00", 0))])
    await ledger.prune(LOG, 256)

    manifest = await produced(ledger, tmp_path)

    assert (4, 256) == (manifest["entries"], manifest["pruned_below"])
    assert "Entries below 256" in (tmp_path / "README.txt").read_text("utf-8")
    assert 0 == verify(tmp_path)[0]


async def test_proofs_need_few_tiles_in_memory() -> None:
    """With room for one tile the proofs are the same as with room for all."""
    ledger = await filled(300)
    store = MemoryStore(ledger)
    head = await store.head(LOG)
    wide = await ProveEntries.covering(store, head, 300)
    narrow = ProveEntries(store, LOG, head.size, head.checkpoint, tiles=1)

    for index in (0, 255, 256, 299):
        assert await wide.proof(index) == await narrow.proof(index)


@pytest.mark.parametrize(("whole_log", "most"), [(False, 299), (True, 301)])
async def test_a_package_of_too_many_files_is_refused_at_once(
    *, whole_log: bool, most: int
) -> None:
    """The manifest stays within what the auditor's program reads."""
    ledger = await filled(300)
    making = ProduceAudit(
        store=MemoryStore(ledger), clock=FakeClock(), verifier={}, most_files=most
    )
    order = Order(LOG, Query(), 300, "operator/o", 0, whole_log=whole_log)

    with pytest.raises(Invalid, match="package-too-large"):
        await anext(making.package(order))


async def test_a_manifest_of_the_most_files_is_within_the_programs_limit(tmp_path: Path) -> None:
    """A proof of the longest name takes so many bytes of 64 MiB."""
    ledger = await filled(300)
    await produced(ledger, tmp_path)
    rows = (tmp_path / "manifest.json").read_text("utf-8").split("},")
    proof = next(row for row in rows if '"proofs/299.tlog-proof"' in row)

    longest = len(f"{proof}}},") + 12  # more digits of its place, and of its length
    assert longest * MOST_FILES < 64 << 20


async def test_what_came_after_the_reading_is_not_in_it() -> None:
    """The size that was recorded is the size that is handed out."""
    ledger = await filled(5)
    making = ProduceAudit(store=MemoryStore(ledger), clock=FakeClock(), verifier={})
    found = [
        content
        async for name, content in making.package(Order(LOG, Query(), 3, "operator/o", 0))
        if name == "entries.jsonl"
    ]

    assert 3 == b"".join(found).count(b"\n")


# --- what was changed is seen ---------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package that verifies."""
    import asyncio  # noqa: PLC0415  a fixture of a module runs outside of the tests' loop

    folder = tmp_path_factory.mktemp("sound") / "package"
    folder.mkdir()
    asyncio.run(_produce_sound(folder))
    return folder


async def _produce_sound(folder: Path) -> None:
    await produced(await filled(9), folder)


def resealed(folder: Path, name: str) -> None:
    """Make the manifest say what a file now is: the forger's next step."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    raw = (folder / name).read_bytes()
    manifest["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


@pytest.mark.parametrize(
    ("name", "change", "step"),
    [
        ("entries.jsonl", (b'"name":"app"', b'"name":"apq"'), 3),
        ("entries.jsonl", (b'"index":0,', b'"index":1,'), 3),
        ("entries.jsonl", (b'"v":1', b'"v":1,"v":1'), 3),
        ("proofs/3.tlog-proof", (b"index 3", b"index 4"), 5),
        ("proofs/3.tlog-proof", (b"\n9\n", b"\n8\n"), 5),
        ("checkpoint", (b"\n9\n", b"\n8\n"), 4),
        ("fhir/audit-events.ndjson", (b'"type":"index","valueString":"3"', b""), 6),
        ("fhir/audit-events.ndjson", (b'"valueString":"3"', b'"valueString":"4"'), 6),
        ("vkey", (b"+", b"+0"), 1),
    ],
)
def test_a_change_is_seen_at_its_step(
    name: str, change: tuple[bytes, bytes], step: int, sound: Path, tmp_path: Path
) -> None:
    """By the manifest, and by the proofs where the manifest was made to fit."""
    folder = tmp_path / "package"
    shutil.copytree(sound, folder)
    raw = (folder / name).read_bytes()
    assert change[0] in raw
    (folder / name).write_bytes(raw.replace(*change, 1))
    caught = verify(folder)
    resealed(folder, name)

    assert 1 == caught[0]
    assert (1, True) == (verify(folder)[0], f"  {step}  " in verify(folder)[1].splitlines()[-2])


def test_a_hash_of_a_proof_that_was_changed_is_seen(sound: Path, tmp_path: Path) -> None:
    """Another hash leads to another root."""
    folder = tmp_path / "package"
    shutil.copytree(sound, folder)
    path = folder / "proofs" / "2.tlog-proof"
    rows = path.read_text("utf-8").split("\n")
    rows[2] = base64.b64encode(bytes(32)).decode()
    path.write_text("\n".join(rows), "utf-8")
    resealed(folder, "proofs/2.tlog-proof")

    status, said = verify(folder)

    assert (1, True) == (status, "does not lead to the checkpoint's root" in said)


def test_a_file_more_or_less_is_seen(sound: Path, tmp_path: Path) -> None:
    """The manifest names all files and no other."""
    for change in ("more", "less"):
        folder = tmp_path / change
        shutil.copytree(sound, folder)
        if change == "more":
            (folder / "note.txt").write_text("hello", "utf-8")
        else:
            (folder / "proofs" / "1.tlog-proof").unlink()
        status, said = verify(folder)
        assert (1, True) == (status, "  2  files        REFUSED" in said), said


def test_an_entry_that_was_left_out_is_seen(sound: Path, tmp_path: Path) -> None:
    """Fewer entries than the manifest's count, and events of none."""
    folder = tmp_path / "package"
    shutil.copytree(sound, folder)
    path = folder / "entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    resealed(folder, "entries.jsonl")

    status, said = verify(folder)

    assert (1, True) == (status, "as many entries as the manifest says" in said)


def test_the_key_of_another_is_refused(sound: Path) -> None:
    """A package that was signed by somebody else does not verify under the operator's key."""
    raw = b"\x01" + bytes(range(32))
    key_id = hashlib.sha256(ORIGIN.encode() + b"\n" + raw).hexdigest()[:8]
    vkey = f"{ORIGIN}+{key_id}+{base64.b64encode(raw).decode()}"

    assert 1 == verify(sound, "--vkey", vkey)[0]


def test_a_folder_that_is_no_package_is_a_wrong_call(sound: Path, tmp_path: Path) -> None:
    """Exit status 2 says that nothing was verified."""
    shutil.copytree(sound / "verifier", tmp_path / "verifier")

    assert 2 == verify(tmp_path)[0]
    assert 2 == verify(sound, "--nonsense")[0]
