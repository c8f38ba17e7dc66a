"""The documentation runs or fails: its commands, its links, its lists.

A fence says what becomes of it here:

    ```sh run              run, in order, in one shell per page; every command must succeed
    ```sh run background   started, and left running until the page ends
    ```text printed        these lines are printed, in this order; … stands for anything

Any other fence is for reading. Pages of a demo run beside one `seawall demo`;
where a page says port 8443, the port that is free here takes its place.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from house.sources import ROOT
from ports import free_ports
from seawall.compose import Installation
from seawall.config import (
    AccessTable,
    ArchiveBucket,
    Backup,
    Keys,
    OpenIdProvider,
    PayloadBucket,
    Settings,
    TimeStamps,
    Witness,
    read_passphrase,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCS: Final = ROOT / "docs"
GENERATED: Final = {
    DOCS / "reference" / name
    for name in (
        "access-matrix.md",
        "api.md",
        "command-line.md",
        "documents.md",
        "error-codes.md",
        "exchange-states.md",
        "gateway-fields.md",
    )
}
PAGES: Final = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WRITTEN: Final = [
    page
    for page in PAGES
    if page not in GENERATED and page.parent.name != "decisions" and page.name != "benchmarks.md"
]
BESIDE_A_DEMO: Final = (
    # The tutorial is first: it names entries by the numbers that a fresh demo gives them.
    "tutorials/first-exchange.md",
    "how-to/verify-a-ledger.md",
    "how-to/read-the-ledger.md",
    "how-to/answer-an-audit.md",
    "how-to/write-documents.md",
    "how-to/set-minimum-necessary.md",
    "how-to/register-a-client.md",
)
SERVER_PAGE: Final = DOCS / "how-to" / "run-a-server.md"
PATIENCE: Final = 240
"""Seconds after which something that should come is given up."""

_FENCE: Final = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CITED: Final = re.compile(r"(?<![\d.])16[04]\.\d{3}\b")
_WAIT: Final = "until [ -e seawall-data/server.json ]; do sleep 0.1; done\n"


@dataclass(frozen=True)
class Demo:
    """A demo that serves: its folder, its port, and what it printed."""

    folder: Path
    port: str
    output: str


def fences(page: Path) -> list[tuple[str, str]]:
    """Return the info string and the text of each fence of a page."""
    return _FENCE.findall(page.read_text("utf-8"))


def script_of(page: Path) -> str:
    """Return what a page has to run, as one script that ends at the first failure."""
    parts = ["set -eu\n"]
    for info, text in fences(page):
        if info == "sh run background":
            parts.append(f"{text.strip()} &\ntrap 'kill $!; wait' EXIT\n{_WAIT}")
        elif info == "sh run" and ("curl " not in text or shutil.which("curl")):
            parts.append(text)
    return "".join(parts)


def expected_lines(page: Path, info: str) -> list[re.Pattern[str]]:
    """Return the lines that a page says are printed."""
    lines = [
        line.strip() for kind, text in fences(page) if kind == info for line in text.splitlines()
    ]
    return [
        re.compile(r"^\s*" + ".*".join(map(re.escape, line.split("…"))) + r"\s*$", re.MULTILINE)
        for line in lines
        if line not in ("", "…")
    ]


def not_printed(expected: list[re.Pattern[str]], output: str) -> list[str]:
    """Return the lines that do not follow each other in an output."""
    position, missing = 0, []
    for pattern in expected:
        found = pattern.search(output, position)
        if found is None:
            missing.append(pattern.pattern)
        else:
            position = found.end()
    return missing


def environment() -> dict[str, str]:
    """Return an environment as a reader's, with the programs of this Python first."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SEAWALL_", "OPENAI_", "SSL_"))
    }
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


@dataclass(frozen=True)
class Running:
    """A script that runs as a reader would run it, its errors among its output."""

    process: subprocess.Popen[bytes]
    said: Path

    @classmethod
    def start(cls, script: str, folder: Path) -> Running:
        """Start a script in a folder."""
        said = folder.with_suffix(".said")
        with said.open("wb") as out:
            command = ["/bin/sh", "-c", script]
            process = subprocess.Popen(  # noqa: S603  the script is our own documentation
                command, cwd=folder, env=environment(), stdout=out, stderr=subprocess.STDOUT
            )
        return cls(process, said)

    def output(self) -> str:
        """Return what was printed so far."""
        return self.said.read_text("utf-8")

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was printed."""
        try:
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
        return status, self.output()


@pytest.fixture(scope="module")
def installing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run the page about a server, meanwhile with the pages beside a demo: it takes a while."""
    (port,) = free_ports(1)
    script = script_of(SERVER_PAGE).replace("8443", str(port))
    running = Running.start(script, tmp_path_factory.mktemp("server"))
    yield running
    running.finish()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, installing: Running) -> Iterator[Demo]:  # noqa: ARG001  it runs beside
    """Run `seawall demo` in a folder of its own while the tests of this file last."""
    folder = tmp_path_factory.mktemp("demo")
    running = Running.start("exec seawall demo --port 0", folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while "serving until Ctrl-C" not in running.output():
            assert running.process.poll() is None, running.output()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        url = json.loads((folder / "seawall-demo" / "server.json").read_bytes())["url"]
        yield Demo(folder, url.rpartition(":")[2], running.output())
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.finish()


@pytest.mark.parametrize("name", BESIDE_A_DEMO)
def test_a_page_runs_beside_a_demo(demo: Demo, name: str) -> None:
    """Every command of the page succeeds, and prints what the page says."""
    script = script_of(DOCS / name).replace("8443", demo.port)

    status, printed = Running.start(script, demo.folder).finish()

    assert 0 == status, printed
    assert [] == not_printed(expected_lines(DOCS / name, "text printed"), printed), printed


def test_a_server_is_set_up_as_described(installing: Running) -> None:
    """The page leads from an empty folder to a server that is ready and records."""
    status, printed = installing.finish()

    assert 0 == status, printed
    assert [] == not_printed(expected_lines(SERVER_PAGE, "text printed"), printed), printed


def test_the_readme_shows_what_the_demo_prints(demo: Demo) -> None:
    """The excerpt in README.md is a demo's own output."""
    expected = expected_lines(ROOT / "README.md", "text printed by the demo")

    assert expected
    assert [] == not_printed(expected, demo.output)


def test_lines_that_are_not_printed_are_seen(tmp_path: Path) -> None:
    """A line that is missing, and one that comes too early, are named."""
    page = tmp_path / "page.md"
    page.write_text("```text printed\na … c\nd\nb\n```\n", "utf-8")

    missing = not_printed(expected_lines(page, "text printed"), "b\na 1 c\nd d\n")

    assert [r"^\s*d\s*$", r"^\s*b\s*$"] == missing


def test_a_command_that_fails_ends_the_page(tmp_path: Path) -> None:
    """What follows a failure is not run, and the failure is the page's."""
    page = tmp_path / "page.md"
    page.write_text("```sh run\nfalse\n```\n```sh run\necho after\n```\n", "utf-8")

    assert (1, "") == Running.start(script_of(page), tmp_path).finish()


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as repository browsers make them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    }


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead to no file or no heading of this repository."""
    broken = []
    prose = _CODE.sub("code", _FENCE.sub("", page.read_text("utf-8")))
    for target in _LINK.findall(prose):
        place, _, anchor = target.partition("#")
        if "://" in place:
            continue
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and anchor not in headings(file.read_text("utf-8"))):
            broken.append(f"{page.name}: {target}")
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """Every link to a file or a heading of the repository leads there."""
    assert [] == broken_links(page)


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    """A missing file and a missing heading are named."""
    page = tmp_path / "page.md"
    text = "# A `b` c\n[`x`](gone.md) [y](#a-b-c) [z](#d) [w](https://x.org) `[v](u)`\n"
    page.write_text(text, "utf-8")

    assert ["page.md: gone.md", "page.md: #d"] == broken_links(page)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_citations_have_one_form(page: Path) -> None:
    """A paragraph of the rule is cited as `45 CFR 164.312(b)`, and in no other way."""
    text = _FENCE.sub("", page.read_text("utf-8"))

    assert [] == [
        text[max(0, match.start() - 20) : match.end()]
        for match in _CITED.finditer(text)
        if not re.search(r"45 CFR\s$", text[: match.start()])
    ]
    assert not re.search(r"C\.F\.R\.|§", text)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_whom_it_is_for(page: Path) -> None:
    """The first sentence of a page names its readers; the front page has them in a list."""
    first = page.read_text("utf-8").split("\n\n")[1]

    assert first.startswith("For ") or page == ROOT / "README.md"


def test_readme_keeps_its_title() -> None:
    """The first heading of README.md is the product's name."""
    assert (ROOT / "README.md").read_text("utf-8").startswith("# Seawall\n")


def test_every_setting_is_documented() -> None:
    """The configuration page has a row for each setting, with its variable and its default."""
    page = (DOCS / "reference" / "configuration.md").read_text("utf-8")

    tables = {
        "witnesses": Witness,
        "archives": ArchiveBucket,
        "timestamps": TimeStamps,
        "payloads": PayloadBucket,
        "keys": Keys,
        "backup": Backup,
        "access": AccessTable,
        "providers": OpenIdProvider,
    }
    for item in fields(Settings):
        if item.name in tables:
            named = ", ".join(f"`{field.name}`" for field in fields(tables[item.name]))
            assert re.search(rf"\| `\[+{item.name}\]+` \| {named} \|", page)
        elif item.name != "data_dir":
            default = json.dumps(item.default)
            assert f"| `{item.name}` | `SEAWALL_{item.name.upper()}` | `{default}` |" in page


def test_every_variable_is_documented() -> None:
    """Each SEAWALL_ variable that the source names is on the configuration page."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"\bSEAWALL_[A-Z_]*[A-Z]\b", source))
    page = (DOCS / "reference" / "configuration.md").read_text("utf-8")

    assert "SEAWALL_PASSPHRASE_FILE" in named
    assert set() == {name for name in named if f"`{name}`" not in page}


def test_every_path_is_documented() -> None:
    """Each route of the server is a heading of the HTTP page."""
    source = (ROOT / "src" / "seawall" / "http" / "application.py").read_text("utf-8")
    routes = re.findall(r'Route\("([^"]+)", \S+, methods=\["(\w+)"\]\)', source)
    page = (DOCS / "reference" / "http.md").read_text("utf-8")

    assert ("/v1/chat/completions", "POST") in routes
    assert [] == [path for path, method in routes if f"\n## `{method} {path}`\n" not in page]


def test_generated_pages_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages that the code determines are what the code says."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    assert [] == runpy.run_path(str(ROOT / "scripts" / "reference.py"))["stale"]()


def shape(value: Any) -> Any:
    """Return which fields a recorded value has, where a model or a decision has fields."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else ""


async def recorded(demo: Demo) -> list[dict[str, Any]]:
    """Return every entry of a demo's two logs."""
    folder = demo.folder / "seawall-demo"
    installation = Installation.open(Settings(folder), read_passphrase(folder, {}))
    try:
        return [
            entry
            for head in await installation.store.logs()
            for _, entry in await installation.read_ledger.entries(head.log, 0, head.size)
        ]
    finally:
        installation.engine.dispose()


async def test_examples_of_entries_have_the_fields_of_real_ones(demo: Demo) -> None:
    """Each example on the page of entries looks like an entry that a demo records."""
    examples = [
        json.loads(text)
        for info, text in fences(DOCS / "reference" / "ledger-entries.md")
        if info == "json"
    ]
    real = await recorded(demo)
    counted = {"found", "left", "new"}  # by class: which ones differs from entry to entry

    def comparable(entry: Mapping[str, Any]) -> Any:
        """Return the names of an entry's fields."""
        kept = {name: "" if name in counted else value for name, value in entry.items()}
        return entry["action"], shape(kept)

    shapes = [comparable(entry) for entry in real]

    assert {entry["action"] for entry in real} == {entry["action"] for entry in examples}
    assert [] == [one["action"] for one in examples if comparable(one) not in shapes]
