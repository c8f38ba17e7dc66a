"""What the terminal is shown: no text of anybody's steers it, whichever way it is printed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

import seawall.cli
from seawall.cli import output
from seawall.cli.documents import _yaml
from seawall.core.errors import Error
from seawall.core.plain import plain, plain_json

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE: Final = "Ben\x1b]0;pwned\x07\x1b[2J\nadmin  active\u202egro.live\x9b2J\x7f\u2066\u200f"
STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
WRITES: Final = {"print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"}
"""What puts text on a terminal by itself; a console of `output` is plain itself."""

PRINTED: Final[dict[str, Callable[[str], object]]] = {
    "say": output.say,
    "echo": output.echo,
    "echo_lines": output.echo_lines,
    "print_json": lambda text: output.print_json({text: [text]}),
    "print_line": lambda text: output.print_line({text: [text]}),
    "print_table": lambda text: output.print_table(text, ("name", text), [(text, text)]),
    "print_error": lambda text: output.print_error(Error(text, text, text)),
    "console": lambda text: output.console().print(Text(text)),
    "console-markup": lambda text: output.console().print(text, markup=False),
}


@pytest.mark.parametrize("way", PRINTED)
def test_nothing_that_is_printed_steers_the_terminal(
    way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither escapes nor marks that turn the writing get there, and what is meant is shown."""
    PRINTED[way](HOSTILE)
    shown = "".join(capsys.readouterr())
    assert [] == STEERING.findall(shown)
    assert "pwned" in shown


def test_a_table_gets_no_row_of_a_cells_making(capsys: pytest.CaptureFixture[str]) -> None:
    """A line end within a name is shown as what it is."""
    output.print_table("", ("name",), [("ben\nadmin",)])
    lines = capsys.readouterr().out.splitlines()
    assert ["name", "ben\\nadmin"] == [line.strip() for line in lines]


@given(st.text())
def test_json_means_the_same(text: str) -> None:
    """What a program reads is what was said, and what a terminal shows is plain."""
    said = json.dumps([text], ensure_ascii=False)
    assert [text] == json.loads(plain_json(said))
    assert [] == STEERING.findall(plain_json(said))


@given(st.text())
def test_a_document_as_yaml_means_the_same(text: str) -> None:
    """`seawall get` shows what `seawall apply` takes."""
    shown = _yaml({"title": text})
    assert {"title": text} == yaml.safe_load(shown)
    assert shown == plain(shown, "\n")


@given(st.text())
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    """Making it plain again changes nothing, and nothing that steers is left."""
    assert plain(text) == plain(plain(text))
    assert [] == STEERING.findall(plain(text))


@pytest.mark.parametrize(
    "name", ["Søren Østergård", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "李 小龍", "a\u00a0b"]
)
def test_names_of_every_language_are_shown(name: str) -> None:
    """What joins letters steers nothing."""
    assert name == plain(name)


def test_every_command_speaks_through_one_place() -> None:
    """No module of the command line but one writes to the terminal by itself."""
    folder = Path(str(seawall.cli.__file__)).parent
    found = [
        f"{path.name}: {call}"
        for path in sorted(folder.rglob("*.py"))
        if path.name != "output.py"
        for call in _calls(path)
        if call in WRITES
    ]
    assert [] == found


def _calls(path: Path) -> list[str]:
    tree: Any = ast.parse(path.read_text("utf-8"))
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
