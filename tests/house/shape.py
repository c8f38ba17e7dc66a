"""How files look: sizes, docstrings, and the headings of decision records."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from house.sources import Module

FILE_LINES = 600
FUNCTION_LINES = 60


def long_files(sources: Iterable[Module]) -> list[str]:
    """Return files with more than 600 lines."""
    counted = ((source.path, len(source.text.splitlines())) for source in sources)
    return [f"{path}: {lines} lines" for path, lines in counted if lines > FILE_LINES]


def long_functions(sources: Iterable[Module]) -> list[str]:
    """Return functions with more than 60 lines of code: docstring and comments do not count."""
    found = []
    for source in sources:
        for node in source.functions:
            whole = range(node.lineno, (node.end_lineno or 0) + 1)
            # Only what is long with its comments can be long without; few files are read closely.
            if len(whole) <= FUNCTION_LINES:
                continue
            lines = len(source.code_lines.intersection(whole))
            if lines > FUNCTION_LINES:
                found.append(f"{source.path}:{node.lineno} {node.name}: {lines} lines of code")
    return found


def silent_tests(sources: Iterable[Module]) -> list[str]:
    """Return tests without a sentence that says what they show."""
    return [
        f"{source.path}:{node.lineno} {node.name}"
        for source in sources
        for node in source.functions
        if node.name.startswith("test") and not (ast.get_docstring(node) or "").strip()
    ]


def silent_modules(sources: Iterable[Module]) -> list[str]:
    """Return modules without a docstring of their contract."""
    return [source.path for source in sources if not (ast.get_docstring(source.tree) or "").strip()]


def headings(markdown: str) -> list[str]:
    """Return the second-level headings of a page, in order, those in code blocks left out."""
    prose = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^## +(.+?) *$", prose, flags=re.MULTILINE)


def unruly_records(template: str, records: Mapping[str, str]) -> list[str]:
    """Return decision records whose number or headings are not those of the template."""
    expected = headings(template)
    return [
        name
        for name, text in records.items()
        if headings(text) != expected
        or not text.startswith(f"# {name[:4]} ")
        or not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)
    ]
