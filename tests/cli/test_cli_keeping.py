"""`seawall ledger archive` and `prune` on a real database, with a real S3 server's buckets."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from buckets import LOCKED, bucket_server, new_prefix
from fakes import FakeClock
from house.sources import ROOT
from seawall.adapters.clock import SystemRandom
from seawall.adapters.keys.ring_file import RingFile
from seawall.app.archive_ledger import standings
from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, KeepArchived
from seawall.compose import LOCK, RING, Installation, archives_of
from seawall.config import ArchiveFolder, Passphrase, Settings, read_settings
from seawall.core.errors import Invalid
from seawall.core.policy.principal import Principal
from seawall.verifier.__main__ import main as verify
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

TENANT: Final = "hillside"
LONG_AGO: Final = datetime(2019, 5, 4, 9, 30, tzinfo=UTC)


def settle(folder: Path, *prefixes: str) -> None:
    """Write the settings: an archive for each prefix of the locked bucket."""
    server = bucket_server()
    tables = [
        f'[[archives]]\nname = "vault-{at}"\nbucket = "{LOCKED}"\nprefix = "{prefix}"\n'
        f'endpoint = "{server.url}"\nauthority = "{server.authority}"\n'
        for at, prefix in enumerate(prefixes)
    ]
    (folder / "seawall.toml").write_text("\n".join(tables), encoding="utf-8")


def installation(folder: Path) -> Installation:
    """Open the folder with a clock that says that it is 2019."""
    ring = RingFile.unlock(folder / RING, b"open sesame", SystemRandom())
    return Installation(read_settings(folder, {}), ring, FakeClock(LONG_AGO), SystemRandom())


async def record(folder: Path, count: int) -> None:
    """Append entries of seven years ago."""
    opened = installation(folder)
    principal = Principal("operator", "operator", TENANT)
    async with opened.write() as writer:
        made = [
            entry("exchange.intent", principal, opened.clock, patients=[]) for _ in range(count)
        ]
        await asyncio.gather(*(writer.ledger.append(TENANT, one) for one in made))
    opened.engine.dispose()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder that nobody prunes: 700 old entries, made before its operator."""
    folder = tmp_path_factory.mktemp("keeping") / "data"
    asyncio.run(begin(folder))
    return folder


async def begin(folder: Path) -> None:
    """Make a data folder whose log begins in 2019."""
    opened = Installation.create(read_settings(folder, {}), Passphrase(b"open sesame"))
    async with opened.write() as writer:
        await writer.open_tenant(TENANT)
    opened.engine.dispose()
    await record(folder, 700)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> tuple[Terminal, list[str]]:
    """Return a terminal on a copy of the folder, with two archives, and their prefixes."""
    copied = tmp_path / "data"
    subprocess.run(["cp", "-r", str(made), str(copied)], check=True)  # noqa: S603, S607  two paths of ours
    prefixes = [new_prefix(), new_prefix()]
    settle(copied, *prefixes)
    return Terminal(copied), prefixes


Place = tuple[Terminal, list[str]]


async def archived_long_ago(folder: Path) -> None:
    """Say of what the buckets took just now that they took it in 2019: they cannot be set back."""
    opened = installation(folder)
    async with opened.write() as writer:
        for row in await opened.store.archived(TENANT):
            aged = replace(row, at_ms=opened.clock.now_ms())
            await writer.ledger.remember([KeepArchived(aged)])
    opened.engine.dispose()


def archive_long_ago(terminal: Terminal) -> None:
    """Archive, seven years ago."""
    assert 0 == terminal.run("ledger", "archive").status
    asyncio.run(archived_long_ago(terminal.folder))


def test_archives_are_brought_up_and_their_status_is_told(place: Place) -> None:
    """Each archive holds each full bundle of each log, and says that it is locked."""
    terminal, _ = place
    terminal.run("ledger", "archive")
    said = terminal.run("ledger", "archive", "--status", "--json").json()
    mine = [one for one in said if one["log"] == TENANT]
    assert [("vault-0", True, 2, 2), ("vault-1", True, 2, 2)] == [
        (one["archive"], one["locked"], one["bundles"], one["of"]) for one in mine
    ]
    assert "2 of 2" in terminal.run("ledger", "archive", "--status").out


def copied(terminal: Terminal, prefix: str, folder: Path) -> Path:
    """Copy what an archive has of the first log into a folder."""
    origin = terminal.run("ledger", "archive", "--status", "--json").json()[0]["origin"]
    within, client = f"{prefix}/{origin}/", bucket_server().client()
    for found in client.list_objects_v2(Bucket=LOCKED, Prefix=within)["Contents"]:
        target = folder / found["Key"].removeprefix(within)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(client.get_object(Bucket=LOCKED, Key=found["Key"])["Body"].read())
    client.close()
    return folder


def test_a_bucket_that_was_copied_verifies(place: Place, tmp_path: Path) -> None:
    """The newest versions of an archive are a log's folder, which a stranger verifies."""
    terminal, prefixes = place
    assert 0 == terminal.run("ledger", "archive").status
    copy = copied(terminal, prefixes[0], tmp_path / "copy")
    assert 0 == verify([str(copy), "--archive"])


def test_what_would_go_is_told_and_nothing_goes(place: Place) -> None:
    """A dry run changes nothing, and needs no claim on the folder."""
    terminal, _ = place
    archive_long_ago(terminal)
    first = terminal.run("ledger", "prune", "--dry-run", "--json").json()
    again = terminal.run("ledger", "prune", "--dry-run")
    assert (0, 512, False, "bundle-incomplete") == (
        first["minimum"],
        first["upto"],
        first["pruned"],
        first["stop"]["why"],
    )
    assert "512 entries would go: 0 to 511" in again.out
    assert "entry 512 stays: its bundle is not full yet" in again.out


def test_a_pruned_log_verifies_proves_and_exports(place: Place, tmp_path: Path) -> None:
    """What stays is as good as before, and with an archive's copy the whole is verified."""
    terminal, prefixes = place
    archive_long_ago(terminal)
    assert "512 entries went" in terminal.run("ledger", "prune").out
    assert "entry-pruned" == terminal.run("ledger", "show", "0").code
    assert "entry-pruned" == terminal.run("ledger", "prove", "511").code
    assert 0 == terminal.run("ledger", "prove", "512").status
    assert 0 == terminal.run("ledger", "verify").status
    assert 0 == terminal.run("ledger", "export", str(tmp_path / "export")).status
    archive = copied(terminal, prefixes[1], tmp_path / "copy")
    assert [1, 0, 0] == [
        verify([str(tmp_path / "export"), *options])
        for options in ([], ["--allow-pruned"], ["--also", str(archive)])
    ]


def test_pruning_is_recorded_before_and_after(place: Place) -> None:
    """Who, what, how it ended: two entries of the system's log."""
    terminal, _ = place
    archive_long_ago(terminal)
    terminal.run("ledger", "prune")
    listed = [
        terminal.run("ledger", "list", "--system", "--action", action, "--json").json()
        for action in ("ledger.prune", "ledger.pruned")
    ]
    ((intent,), (outcome,)) = listed
    assert (0, 512, ["vault-0", "vault-1"]) == (intent["from"], intent["to"], intent["archives"])
    assert ("pruned", 512) == (outcome["outcome"], outcome["minimum"])


def test_what_was_archived_today_stays_whatever_its_entries_say(place: Place) -> None:
    """Entries of 2019 that a bucket took just now stay for six years from now."""
    terminal, _ = place
    terminal.run("ledger", "archive")
    said = terminal.run("ledger", "prune", "--json").json()
    expected = (0, "younger-than-retention", str(datetime.now(UTC).year + 6))
    assert expected == (said["upto"], said["stop"]["why"], said["stop"]["detail"][:4])


def test_without_archives_nothing_goes(place: Place) -> None:
    """Archives that never got the log keep it here; with less than two it is refused."""
    terminal, prefixes = place
    said = terminal.run("ledger", "prune")
    settle(terminal.folder, prefixes[0])
    assert "hillside: nothing may go" in said.out
    assert "entry 0 stays: two archives, one of them locked, do not hold it yet" in said.out
    assert "prune-archives" == terminal.run("ledger", "prune").code
    (terminal.folder / "seawall.toml").unlink()
    assert "no-archives" == terminal.run("ledger", "archive").code


def test_young_entries_say_from_when_they_may_go(place: Place) -> None:
    """The system's log is of today: it stays for six years, whoever asks."""
    terminal, _ = place
    opened = Installation.open(read_settings(terminal.folder, {}), Passphrase(b"open sesame"))
    asyncio.run(fill_system(opened))
    terminal.run("ledger", "archive")
    said = terminal.run("ledger", "prune", "--system", "--json").json()
    year = datetime.now(UTC).year + 6
    assert (0, "younger-than-retention") == (said["upto"], said["stop"]["why"])
    assert str(year) == said["stop"]["detail"][:4]


async def fill_system(opened: Installation) -> None:
    """Append a bundle of today to the system's log."""
    principal = Principal("operator", "operator", TENANT)
    async with opened.write() as writer:
        made = [entry("token.issue", principal, opened.clock) for _ in range(256)]
        await asyncio.gather(*(writer.ledger.append(SYSTEM_LOG, one) for one in made))
    opened.engine.dispose()


@pytest.mark.parametrize("command", ["archive", "prune"])
def test_a_folder_that_a_server_holds_is_told(place: Place, command: str) -> None:
    """The server archives by itself; to prune it must be stopped."""
    terminal, _ = place
    terminal.run("ledger", "archive")
    held = subprocess.Popen(  # noqa: S603  a few lines of ours
        [sys.executable, "-c", _HOLD, str(terminal.folder / LOCK)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    try:
        assert held.stdout is not None
        held.stdout.readline()
        assert "folder-in-use" == terminal.run("ledger", command).code
        assert 0 == terminal.run("ledger", "archive", "--status").status
        assert 0 == terminal.run("ledger", "prune", "--dry-run").status
    finally:
        held.communicate(b"")


_HOLD: Final = """
import fcntl, sys
held = open(sys.argv[1], "a")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_server_archives_by_itself(place: Place) -> None:
    """One of its rounds is archiving, and brings every archive up."""
    terminal, _ = place
    opened = Installation.open(read_settings(terminal.folder, {}), Passphrase(b"open sesame"))
    async with opened.write() as writer:
        (rounds,) = [one for one in writer.rounds if one.name == "archiving"]
        await rounds.once()
        found = await standings(opened.store, writer.archives)
    opened.engine.dispose()
    assert [2, 2] == [one.bundles for one in found if one.log == TENANT]


def test_without_its_library_a_bucket_is_refused_and_a_folder_is_not() -> None:
    """boto3 is optional: its lack is told where a bucket needs it."""
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "from pathlib import Path\n"
        "from seawall.compose import archives_of\n"
        "from seawall.config import ArchiveBucket, ArchiveFolder, Settings\n"
        "archives_of(Settings(Path('x'), archives=(ArchiveFolder('a', 'b'),)))\n"
        "archives_of(Settings(Path('x'), archives=(ArchiveBucket('a', 'b'),)))\n"
    )
    ended = subprocess.run(  # noqa: S603  the lines above
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "needs a library that is not installed" in ended.stderr


def fences(kind: str) -> list[str]:
    """Return the examples of a kind on the page about keeping the ledger."""
    page = (ROOT / "docs" / "how-to" / "keep-the-ledger.md").read_text("utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_documents_of_the_page_are_applied(place: Place, tmp_path: Path) -> None:
    """What the page shows is taken as it stands, and a lower retention is refused."""
    terminal, _ = place
    (tmp_path / "page.yaml").write_text("---\n".join(fences("yaml")))
    applied = terminal.run("apply", "-f", str(tmp_path / "page.yaml"), "--json").json()
    lower = fences("yaml")[0].replace("10", "9")
    (tmp_path / "lower.yaml").write_text(lower)
    refused = terminal.run("apply", "-f", str(tmp_path / "lower.yaml"))
    assert ["Retention", "LegalHold"] == [one["kind"] for one in applied]
    assert "retention-lowered" == refused.code
    assert "kept for 10 years, 1 legal holds" in terminal.run("ledger", "prune", "--dry-run").out


def test_the_settings_of_the_page_are_read(tmp_path: Path) -> None:
    """A bucket and a folder, by name."""
    (tmp_path / "seawall.toml").write_text(fences("toml")[0])
    assert ["vault", "shelf"] == [one.name for one in read_settings(tmp_path, {}).archives]


def test_an_archives_name_is_a_plain_one() -> None:
    """It is said in entries and errors, so it cannot be any text."""
    with pytest.raises(Invalid) as caught:
        archives_of(Settings(ROOT, archives=(ArchiveFolder("My Vault\n", "x"),)))
    assert "wrong-setting" == caught.value.code
