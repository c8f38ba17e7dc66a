"""The page about ASVS has every requirement once, and names tests that exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from house.sources import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (ROOT / "docs" / "reference" / "asvs-5.0.md").read_text("utf-8")
IDS: Final = ROOT / "tests" / "vectors" / "asvs-5.0-ids.txt"
ATTACKS: Final = "\n## Attacks that have a test\n"
MOST: Final = 14
"""So many requirements are not met at most: the figure falls, and does not rise unseen."""

_ROW: Final = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([123]) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
_TEST: Final = re.compile(r"`(tests/[\w/.-]+\.py)::(\w+)`")
_ANSWER: Final = re.compile(
    rf"{_TEST.pattern}(?:<br>{_TEST.pattern})*|not applicable: .{{10,}}|not met: .{{10,}}"
)


def rows(page: str) -> list[tuple[str, str, str, str]]:
    """Return the rows of requirements: id, level, what is asked for, and the answer."""
    return _ROW.findall(page.split(ATTACKS, maxsplit=1)[0])


def attacks(page: str) -> list[tuple[str, str]]:
    """Return the rows of attacks, without the head of their table."""
    lines = re.findall(r"^\| ([^|]*) \| ([^|]*) \|$", page.split(ATTACKS)[1], re.MULTILINE)
    return lines[1:]


def wanted() -> list[tuple[str, str]]:
    """Return the ids that there must be, with their levels."""
    lines = IDS.read_text("utf-8").splitlines()
    return [tuple(line.split()) for line in lines if not line.startswith("#")]  # type: ignore[misc]  # two each


def missing_tests(text: str) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    named = sorted(set(_TEST.findall(text)))
    found = {path: functions(ROOT / path) for path, _ in named}
    return [f"{path}::{name}" for path, name in named if name not in found[path]]


def functions(path: Path) -> set[str]:
    """Return the names of a file's functions; none of a file that is not there."""
    if not path.exists():
        return set()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, kinds)
    }


def unanswered(page: str) -> list[str]:
    """Return the ids whose summary is empty, or whose answer is of no form."""
    return [
        id_ for id_, _, asked, answer in rows(page) if not (asked and _ANSWER.fullmatch(answer))
    ]


def test_every_requirement_is_there_once() -> None:
    """Of chapters V6 to V10, levels 1 and 2, with its level, in the order of the standard."""
    assert 96 == len(wanted())
    assert wanted() == [(id_, level) for id_, level, _, _ in rows(PAGE)]


def test_every_requirement_has_an_answer() -> None:
    """Tests, or why it does not apply, or what is missing."""
    assert [] == unanswered(PAGE)


def test_every_test_that_is_named_exists() -> None:
    """By its file and its function."""
    assert [] == missing_tests(PAGE)


def test_every_attack_has_tests() -> None:
    """No cell of the second table is empty or names anything but tests."""
    found = attacks(PAGE)

    assert 17 == len(found)
    assert [] == [what for what, answer in found if not (what and _TEST.match(answer))]


def test_what_is_not_met_does_not_grow() -> None:
    """Whoever breaks a promise lowers no answer to `not met` without changing this figure."""
    answers = Counter(answer.partition(":")[0] for _, _, _, answer in rows(PAGE))

    assert answers["not met"] <= MOST


def test_the_standards_own_words_are_not_ours() -> None:
    """The page has summaries, and names whose the standard is and under which licence."""
    assert "Verify that" not in PAGE
    assert "by the OWASP Foundation, under CC BY-SA 4.0" in PAGE


def test_a_page_with_gaps_is_seen() -> None:
    """An empty cell, an answer of no form, and a test that is not there."""
    line = "| 6.1.1 | 1 | {} | {} |\n"
    ghost = "`tests/test_asvs.py::test_ghost`"
    page = line.format("", ghost) + line.format("x", "yes") + line.format("x", "not met: x")

    assert ["6.1.1"] * 3 == unanswered(page + ATTACKS)
    assert ["tests/test_asvs.py::test_ghost"] == missing_tests(page)
    assert [] == missing_tests("`tests/test_asvs.py::test_a_page_with_gaps_is_seen`")
