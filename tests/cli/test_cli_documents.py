"""`seawall apply`, `get` and `history`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from clinic import Server
    from terminal import Terminal

USE_CASE = """\
kind: UseCase
name: {name}
spec: {{title: {title}, purpose: treatment, justification: why}}
"""


def written(folder: Path, name: str = "one", title: str = "a title") -> Path:
    """Write a use case as YAML."""
    path = folder / f"{name}.yaml"
    path.write_text(USE_CASE.format(name=name, title=title), encoding="utf-8")
    return path


def test_apply_is_idempotent(terminal: Terminal, tmp_path: Path) -> None:
    """Applying a file creates the document; applying it again changes nothing."""
    file = str(written(tmp_path, "again"))

    first, second = (terminal.run("apply", "-f", file, "--json").json()[0] for _ in range(2))

    assert ("created", 1) == (first["change"], first["version"])
    assert ("unchanged", 1, None) == (second["change"], second["version"], second["entry"])


def test_apply_takes_a_folder_of_many_documents(terminal: Terminal, tmp_path: Path) -> None:
    """Every *.yaml of a folder is applied, and every document of each file."""
    written(tmp_path, "first")
    second = written(tmp_path, "second")
    both = f"{second.read_text('utf-8')}---\n{USE_CASE.format(name='third', title='c')}"
    second.write_text(both, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a document", encoding="utf-8")

    applied = terminal.run("apply", "-f", str(tmp_path), "--json").json()

    assert ["first", "second", "third"] == [one["name"] for one in applied]


def test_apply_prints_a_table(terminal: Terminal, tmp_path: Path) -> None:
    """Without --json, people read the document's version, what changed and the entry."""
    said = terminal.run("apply", "-f", str(written(tmp_path, "tabled")))

    assert ("UseCase/tabled@1" in said.out, "created" in said.out) == (True, True)


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("kind: UseCase\nname: [\n", "file-unreadable", "line 3"),
        ("kind: UseCase\nkind: Client\n", "file-unreadable", "line 1"),
        ("spec: {a: 1, a: 2}", "file-unreadable", "line 1"),
        ("- a\n- list", "document-envelope", "not a document"),
        ("kind: Nothing\nname: x\nspec: {}", "document-envelope", "a kind that exists"),
        ("kind: UseCase\nname: x", "document-envelope", "spec"),
        ("kind: UseCase\nname: X!\nspec: {}", "document-name", "document name"),
        ("kind: UseCase\nname: x\nspec: {titel: 1}", "document-invalid", "titel"),
        ("a: &a [*a]\n!!python/object:os.system x", "file-unreadable", "line 2"),
    ],
)
def test_bad_yaml_is_told_by_file_and_line(
    text: str, code: str, told: str, terminal: Terminal, tmp_path: Path
) -> None:
    """What is not a readable document is refused with the file's name and no value."""
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")

    said = terminal.run("apply", "-f", str(file))

    assert code == said.code
    assert told in str(said.error) or "bad.yaml" in str(said.error)


def test_file_that_is_not_there_is_told(terminal: Terminal, tmp_path: Path) -> None:
    """A file that does not exist, is no UTF-8 or is too large is told."""
    binary, large = tmp_path / "binary.yaml", tmp_path / "large.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    large.write_bytes(b"#" * (1 << 20) + b"#")
    files = (tmp_path / "none.yaml", binary, large)

    codes = [terminal.run("apply", "-f", str(file)).code for file in files]

    assert ["file-unreadable", "file-unreadable", "file-too-large"] == codes


def test_signed_file_becomes_its_digest(terminal: Terminal, shipped: Path) -> None:
    """Of an agreement's signed file the digest is kept, and not its path."""
    path = shipped / "documents" / "1-agreement.yaml"
    signed = shipped / "agreement" / "business-associate-agreement.md"

    terminal.run("apply", "-f", str(path))
    (shown,) = terminal.run("get", "Agreement", "sandbox-agreement", "--json").json()
    digest = "sha256:" + hashlib.sha256(signed.read_bytes()).hexdigest()

    assert digest == shown["spec"]["signed"]["digest"]
    assert "file" not in shown["spec"]["signed"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"file": "nowhere.pdf"}, "signed-file-missing"),
        ({"digest": "sha256:" + "0" * 64}, "signed-file-changed"),
    ],
)
def test_signed_file_must_be_the_one_that_was_signed(
    change: dict[str, str], code: str, terminal: Terminal, shipped: Path, tmp_path: Path
) -> None:
    """A signed file that is missing or has another digest is refused."""
    text = (shipped / "documents" / "1-agreement.yaml").read_text("utf-8")
    document = yaml.safe_load(text)
    signed = shipped / "agreement" / "business-associate-agreement.md"
    document["spec"]["signed"].update({"file": str(signed), **change})
    path = tmp_path / "agreement.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")

    assert code == terminal.run("apply", "-f", str(path)).code


def test_get_lists_and_shows(terminal: Terminal, tmp_path: Path) -> None:
    """`get KIND` lists names and versions; `get KIND NAME` shows one whole, as YAML."""
    terminal.run("apply", "-f", str(written(tmp_path, "shown")))

    listed = terminal.run("get", "UseCase").out
    shown = yaml.safe_load(terminal.run("get", "UseCase", "shown").out)

    assert "shown" in listed
    assert ("shown", 1, "a title") == (shown["name"], shown["version"], shown["spec"]["title"])


def test_empty_list_says_so(terminal: Terminal) -> None:
    """A kind without documents says that there are none."""
    assert "(none)" in terminal.run("get", "Endpoint").out
    assert [] == terminal.run("get", "Endpoint", "--json").json()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("get", "Nothing"), "kind-unknown"),
        (("history", "Nothing", "x"), "kind-unknown"),
        (("get", "UseCase", "nowhere"), "document-unknown"),
        (("history", "UseCase", "nowhere"), "document-unknown"),
        (("get", "UseCase", "--tenant", "nowhere"), "tenant-unclear"),
    ],
)
def test_what_is_not_there_is_told(command: tuple[str, ...], code: str, terminal: Terminal) -> None:
    """A kind, document or tenant that does not exist is told by its code."""
    assert code == terminal.run(*command).code


def test_history_shows_every_version(terminal: Terminal, tmp_path: Path) -> None:
    """Each version is shown with its time, its actor, its digest and its entry."""
    for title in ("a", "b"):
        terminal.run("apply", "-f", str(written(tmp_path, "versions", title)))

    versions = terminal.run("history", "UseCase", "versions", "--json").json()

    assert ["UseCase/versions@1", "UseCase/versions@2"] == [v["document"] for v in versions]
    assert {"operator operator"} == {version["by"] for version in versions}
    assert 2 == len({version["digest"] for version in versions})
    assert "UseCase/versions@2" in terminal.run("history", "UseCase", "versions").out


def test_apply_goes_over_the_api_while_the_server_runs(
    server: Server, terminal: Terminal, tmp_path: Path
) -> None:
    """While a server holds the folder, `apply` asks it over HTTPS as the operator."""
    folder = server.clinic.folder
    key = folder / "clients" / "riverside-operator.jwk"
    key.parent.mkdir(exist_ok=True)
    key.write_text(json.dumps(server.clinic.keys["operator"]), encoding="ascii")
    given = {
        "SEAWALL_DATA_DIR": str(folder),
        "SEAWALL_PASSPHRASE": "correct horse battery staple",
    }
    path = written(tmp_path, "over-the-api")

    applied = terminal.run("apply", "-f", str(path), "--json", **given).json()
    bad = written(tmp_path, "not a name")
    refused = terminal.run("apply", "-f", str(bad), **given)

    assert [("over-the-api", "created")] == [(one["name"], one["change"]) for one in applied]
    assert "client" == server.clinic.entries()[-1]["actor"]["kind"]
    assert "document-name" == refused.code
