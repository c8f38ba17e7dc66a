"""The rules of the house, each with proof that it can object.

The checks are in tests/house/; here each is run on the repository, and on a
made-up offence that it must see.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import pytest
import typer

from house import commands, imports, purity, shape, texts
from house.sources import ROOT, Module, modules, tracked_texts

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = modules("src")
TESTS = modules("tests")
PROGRAMS = [*SOURCE, *TESTS, *modules("benchmarks"), *modules("scripts")]
CORE = [source for source in SOURCE if source.name.startswith("seawall.core")]
TEXTS = tracked_texts()
PAGE = ROOT / "docs" / "reference" / "command-line.md"
DECISIONS = ROOT / "docs" / "decisions"


def ours(**bodies: str) -> list[Module]:
    """Make up modules: `adapters__db` stands for seawall.adapters.db."""
    return [Module(f"seawall.{name.replace('__', '.')}", text) for name, text in bodies.items()]


def test_imports_point_inwards() -> None:
    """Every import between modules of Seawall is one that the law allows."""
    assert [] == imports.lawless_imports(SOURCE)


@pytest.mark.parametrize(
    ("importer", "line", "imported"),
    [
        ("core", "from seawall import app", "app"),
        ("core__phi", "def late():\n    import seawall.config", "config"),
        ("app", "from seawall.adapters import clock", "adapters__clock"),
        ("app", "if TYPE_CHECKING:\n    import seawall.http", "http"),
        ("adapters__db", "from seawall.app.ask_model import AskModel", "app__ask_model"),
        ("adapters__db__store", "from seawall.adapters.keys import file", "adapters__keys__file"),
        ("adapters__clock", "import seawall.adapters.logs", "adapters__logs"),
        ("http", "import seawall.compose", "compose"),
        ("cli", "from seawall.adapters import clock", "adapters__clock"),
        ("verifier", "from seawall.core.ledger import tree", "core__ledger__tree"),
        ("sandbox", "import seawall.core", "core"),
        ("config", "import seawall.app", "app"),
    ],
)
def test_the_import_law_objects(importer: str, line: str, imported: str) -> None:
    """An import that points outwards or sideways is named."""
    sources = ours(**{importer: line, imported: ""})

    assert [f"{sources[0].name} imports {sources[1].name}"] == imports.lawless_imports(sources)


def test_the_import_law_sees_relative_imports() -> None:
    """Dots instead of a name hide nothing."""
    sources = [*ours(app__x="from ..adapters import clock"), *ours(adapters__clock="")]

    assert ["seawall.app.x imports seawall.adapters.clock"] == imports.lawless_imports(sources)


def test_an_adapter_may_use_the_ports_and_its_own_room() -> None:
    """Ports, core and an adapter's own subpackage are allowed."""
    line = "from seawall.app.ports import Store\nimport seawall.core\nimport seawall.adapters.db.b"
    sources = ours(adapters__db__a=line, adapters__db__b="", app__ports="", core="")

    assert [] == imports.lawless_imports(sources)


def test_every_ring_has_a_law() -> None:
    """A new ring is added to the law before it holds a module."""
    assert [] == imports.unknown_rings(SOURCE)


def test_a_ring_without_a_law_is_seen() -> None:
    """A module outside the rings is named."""
    assert ["seawall.utils"] == imports.unknown_rings(ours(utils="", core=""))


def test_nothing_is_imported_by_name_at_run_time() -> None:
    """No import escapes the law by being a string."""
    assert [] == imports.dynamic_imports(SOURCE)


def test_an_import_by_name_is_seen() -> None:
    """importlib.import_module is named with its line."""
    assert ["seawall.app:1"] == imports.dynamic_imports(ours(app="importlib.import_module('x')"))


def test_there_are_no_import_cycles() -> None:
    """No two modules import each other at run time, lazily either."""
    assert [] == imports.import_cycles(SOURCE)


def test_a_cycle_is_seen() -> None:
    """Three modules in a ring are named, and an import for type checkers makes no cycle."""
    sources = ours(
        a="import seawall.b",
        b="def late():\n    from seawall.c import x",
        c="import seawall.a",
        d="if TYPE_CHECKING:\n    import seawall.e",
        e="import seawall.d",
    )

    assert [["seawall.a", "seawall.b", "seawall.c"]] == imports.import_cycles(sources)


def test_core_imports_nothing_impure() -> None:
    """Core imports only what is on the list of pure modules."""
    assert CORE
    assert [] == purity.impure_imports(CORE)


@pytest.mark.parametrize(
    "name", ["os", "asyncio", "threading", "random", "secrets", "pathlib", "logging", "sqlalchemy"]
)
def test_an_impure_import_is_seen(name: str) -> None:
    """I/O, clocks, randomness, the environment and threads are named."""
    assert [f"seawall.core.x imports {name}"] == purity.impure_imports(
        ours(core__x=f"import {name}")
    )


def test_core_calls_nothing_impure() -> None:
    """Core opens and prints nothing, and asks no clock."""
    assert [] == purity.impure_calls(CORE)


@pytest.mark.parametrize(
    "call", ["open('x')", "print()", "datetime.now()", "date.today()", "key.generate()"]
)
def test_an_impure_call_is_seen(call: str) -> None:
    """A call that reads or changes the world is named."""
    assert 1 == len(purity.impure_calls(ours(core__x=call)))


def test_files_are_short() -> None:
    """No file has more than 600 lines."""
    assert [] == shape.long_files(PROGRAMS)


def test_a_long_file_is_seen() -> None:
    """The 601st line is one too many."""
    assert ["made-up.py: 601 lines"] == shape.long_files(ours(app="x = 1\n" * 601))


def test_functions_are_short() -> None:
    """No function has more than 60 lines of code."""
    assert [] == shape.long_functions(PROGRAMS)


def test_a_long_function_is_seen() -> None:
    """The 61st line of code is one too many; comments and docstrings are none."""
    kept = 'def kept():\n    """One."""\n    # two\n' + "    x = 1\n" * 59
    broken = "def broken():\n" + "    x = 1\n" * 60

    assert ["made-up.py:63 broken: 61 lines of code"] == shape.long_functions(
        ours(app=kept + broken)
    )


def test_every_test_says_what_it_shows() -> None:
    """Each test has a docstring."""
    assert [] == shape.silent_tests(TESTS)


def test_a_silent_test_is_seen() -> None:
    """A test without a docstring is named, a method too."""
    text = "class T:\n    async def test_a(self):\n        pass\ndef test_b():\n    'It is.'"

    assert ["made-up.py:2 test_a"] == shape.silent_tests(ours(app=text))


def test_every_module_states_its_contract() -> None:
    """Each module begins with a docstring."""
    assert [] == shape.silent_modules(PROGRAMS)


def test_a_silent_module_is_seen() -> None:
    """A module without a docstring is named."""
    assert ["made-up.py"] == shape.silent_modules(ours(app="x = 1"))


def test_every_citation_is_of_the_law() -> None:
    """Each citation of 45 CFR in code, documentation and tracked pages resolves."""
    cited = {
        path: text
        for path, text in TEXTS.items()
        if path.endswith((".py", ".md", ".txt", ".yaml", ".yml", ".html", ".toml"))
        and not path.startswith(("tests/", "requirements/"))
    }

    assert cited
    assert [] == texts.false_citations(cited)


def test_a_false_citation_is_seen() -> None:
    """A paragraph that the law does not have is named with its file."""
    made_up = {"docs/a.md": "45 CFR 164.312(z) and 45 CFR 164.312(b)"}

    assert ["docs/a.md: 164.312(z)"] == texts.false_citations(made_up)


def test_every_command_and_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """The reference page names each command, option and argument of both programs, no other."""
    from seawall.cli import app  # noqa: PLC0415  only this test fails if the edge does not import
    from seawall.verifier.__main__ import main  # noqa: PLC0415  as above

    main(["--help"])
    verifier = {"seawall-verify": commands.options_in_help(capsys.readouterr().out)}
    known = commands.commands(app) | verifier
    page = PAGE.read_text("utf-8")

    assert {"--vkey", "--checkpoint"} <= known["seawall-verify"]
    assert [] == commands.undocumented(known, page)
    assert [] == commands.invented(known, page)


def made_up_app() -> typer.Typer:
    """Make `seawall log show FILE --json` and `seawall go`."""
    app, nested = typer.Typer(), typer.Typer()

    @nested.command()
    def show(file: str, *, json: Annotated[bool, typer.Option("--json")] = False) -> None:
        """Do nothing."""

    @nested.command("list")
    @app.command("go")
    def go() -> None:
        """Do nothing."""

    app.add_typer(nested, name="log")
    return app


def test_commands_are_found_by_introspection() -> None:
    """Nested commands, options and arguments are all known."""
    expected = {
        "seawall go": set(),
        "seawall log list": set(),
        "seawall log show": {"FILE", "--json"},
    }

    assert expected == commands.commands(made_up_app())


def test_an_undocumented_command_or_option_is_seen() -> None:
    """A missing heading, option or argument is named."""
    page = "## seawall go\n\n## `seawall log show FILE`\n\nPrints `--jsonl`.\n"

    assert ["seawall log list", "seawall log show --json"] == sorted(
        commands.undocumented(commands.commands(made_up_app()), page)
    )


def test_an_invented_command_or_option_is_seen() -> None:
    """What the page promises and the program lacks is named."""
    page = "## seawall log\n## seawall go\n`--fast`, `--help`\n## seawall stop\n"

    assert ["seawall stop", "seawall go --fast"] == commands.invented(
        commands.commands(made_up_app()), page
    )


def check_reference(root: Path) -> subprocess.CompletedProcess[str]:
    """Ask the script that writes the reference pages whether a folder's pages are fresh."""
    command = [sys.executable, str(root / "scripts" / "reference.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own script


def test_reference_pages_are_what_the_code_says() -> None:
    """The pages under docs/reference that the code determines are fresh."""
    checked = check_reference(ROOT)

    assert ("", "", 0) == (checked.stdout, checked.stderr, checked.returncode)


def test_a_stale_reference_page_is_seen(tmp_path: Path) -> None:
    """A page that somebody changed by hand is named."""
    for folder in ("scripts", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    page = tmp_path / PAGE.relative_to(ROOT)
    page.write_text(page.read_text("utf-8") + "more\n", "utf-8")

    checked = check_reference(tmp_path)

    assert f"docs/reference/{PAGE.name} is not what the code says" in checked.stdout
    assert 1 == checked.returncode


def test_no_text_names_an_index_or_one_machine() -> None:
    """Tracked text names no package index and no folder that a clone lacks."""
    read = {path: text for path, text in TEXTS.items() if not path.startswith("training/")}

    assert "pyproject.toml" in read
    assert [] == texts.forbidden_mentions(read)


@pytest.mark.parametrize(
    "line",
    [
        "index = https://py" + "pi.org/simple",
        "see files.python" + "hosted.org",
        "cp /wor" + "k/main/x .",
        "read ../share" + "d/design.md",
    ],
)
def test_a_forbidden_mention_is_seen(line: str) -> None:
    """The line is named with its file."""
    found = texts.forbidden_mentions({"README.md": f"fine\n{line}\nhttps://x.org/work/y"})

    assert found
    assert all(place.startswith("README.md:2 ") for place in found)


def requirement_files() -> dict[str, str]:
    """Read the pinned requirements."""
    return {path.stem: path.read_text("utf-8") for path in (ROOT / "requirements").glob("*.txt")}


def test_requirements_name_no_index_and_pin_by_hash() -> None:
    """Where packages come from is the machine's; what they are is ours."""
    assert {"runtime", "demo", "dev", "sslyze"} == set(requirement_files())
    assert [] == texts.index_options(requirement_files())
    assert [] == [name for text in requirement_files().values() for name in texts.unpinned(text)]


def test_larger_sets_hold_the_smaller_ones() -> None:
    """What runtime.txt pins, demo.txt pins alike, and dev.txt all of that."""
    pinned = {name: texts.pins(text) for name, text in requirement_files().items()}

    assert pinned["runtime"].items() <= pinned["demo"].items()
    assert pinned["demo"].items() <= pinned["dev"].items()


@pytest.mark.parametrize(
    "line", ["--index-url x", "  -f /wheels", "--extra-index-url=x", "a @ https://b/c.whl"]
)
def test_an_index_in_requirements_is_seen(line: str) -> None:
    """An option or address that says where to look is named."""
    assert ["dev"] == texts.index_options({"dev": f"a==1\n{line}\n", "demo": "a==1 \\\n"})


def test_a_package_without_a_hash_is_seen() -> None:
    """A pin without its hash, or no pin at all, is named."""
    text = "a==1 \\\n    --hash=sha256:00\n    # via b\nb==2\n    # via c\nc>=3\n"

    assert ["b==2", "c>=3"] == texts.unpinned(text)
    assert {"a": "1", "b": "2"} == texts.pins(text)


def test_decision_records_follow_the_template() -> None:
    """Each record has the template's headings in their order, and its number in its title."""
    records = {path.name: path.read_text("utf-8") for path in DECISIONS.glob("*.md")}
    template = records.pop("0000-template.md")

    assert records
    assert [] == shape.unruly_records(template, records)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("0007-x.md", "# 0007 X\n\n## Options\n"),
        ("0007-x.md", "# 0007 X\n\n## Decision\n\n## Context\n"),
        ("0007-x.md", "# 0008 X\n\n## Context\n\n## Decision\n"),
        ("0007 X.md", "# 0007 X\n\n## Context\n\n## Decision\n"),
        ("0007-x.md", "# 0007 X\n\n## Context\n```\n## Decision\n```\n"),
    ],
)
def test_an_unruly_record_is_seen(name: str, text: str) -> None:
    """A heading missing, moved or only in an example, or another number, is named."""
    template = "# 0000 Title\n\n## Context\n\n## Decision\n"

    assert [name] == shape.unruly_records(template, {name: text})


def test_every_runtime_dependency_has_its_reason() -> None:
    """The record of dependencies names each one that pyproject.toml asks for."""
    record = (DECISIONS / "0002-dependencies.md").read_text("utf-8")

    assert [] == texts.without_reason((ROOT / "pyproject.toml").read_text("utf-8"), record)


def test_a_dependency_without_a_reason_is_seen() -> None:
    """A dependency that the record does not name in its table is named."""
    project = '[project]\ndependencies = ["a-b>=1", "c[d]>=2"]\n'

    assert ["c"] == texts.without_reason(project, "| `a-b` | does a and b |\nand c\n")
