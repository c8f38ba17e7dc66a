"""What tracked text may not say, what it must cite rightly, and what requirements pin."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from seawall.core.citations import Gaps, find_citations, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES = files("seawall") / "rules"
# Written in pieces, so that this file does not mention what it looks for.
_FORBIDDEN = {
    "names a package index": r"\bpypi\." + r"org\b|python" + r"hosted\.",
    "names a place that only one machine has": r"(?<![\w.\-])/wo" + r"rk/|\.\./sha" + r"red\b",
}
_INDEX_OPTION = re.compile(
    r"^\s*(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b|://", re.MULTILINE
)
_PIN = re.compile(r"^([A-Za-z0-9._-]+(?:\[[^]]*\])?)==([^\s\\;]+)", re.MULTILINE)


def forbidden_mentions(texts: Mapping[str, str]) -> list[str]:
    """Return the lines that name a package index, or a folder that a clone does not have."""
    return [
        f"{path}:{number} {reason}"
        for path, text in texts.items()
        for reason, pattern in _FORBIDDEN.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def index_options(requirements: Mapping[str, str]) -> list[str]:
    """Return the requirement files that name an index, a folder of packages or any address."""
    return [path for path, text in requirements.items() if _INDEX_OPTION.search(text)]


def pins(requirements: str) -> dict[str, str]:
    """Return package -> version of a requirement file."""
    return dict(_PIN.findall(requirements))


def unpinned(requirements: str) -> list[str]:
    """Return the packages of a requirement file that have no hash."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", requirements, flags=re.MULTILINE)[1:]
    return [
        block.split()[0] for block in blocks if "==" not in block or "--hash=sha256:" not in block
    ]


def without_reason(project: str, record: str) -> list[str]:
    """Return the runtime dependencies of a pyproject.toml that have no row in the record."""
    asked = tomllib.loads(project)["project"]["dependencies"]
    names = [re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in asked]
    return [name for name in names if f"| `{name}` |" not in record]


def rule_text() -> dict[str, Any]:
    """Return section -> text of the two parts that are shipped."""
    parts = (
        json.loads((RULES / f"cfr45-part{part}.json").read_text("utf-8")) for part in (160, 164)
    )
    return {number: section for part in parts for number, section in part["sections"].items()}


def false_citations(texts: Mapping[str, str]) -> list[str]:
    """Return citations of 45 CFR that the law does not have, so far as the shipped text tells."""
    sections = rule_text()
    gaps = Gaps(**json.loads((RULES / "known-gaps.json").read_text("utf-8")))
    return [
        f"{path}: {citation}"
        for path, text in texts.items()
        for citation in find_citations(text)
        if not resolve(citation, sections, gaps)
    ]
