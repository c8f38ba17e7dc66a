"""The page of every operation of the admin API, from the application itself."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from seawall.compose import Installation
from seawall.config import Passphrase, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_API: Final = """\
For engineers who administer Seawall by program: every operation, and which action it asks the
policies for. [HTTP](http.md) has what all of them have in common: who may call, headers, keys,
versions, pages and errors. `/api/openapi.json` describes the same for programs.

`itself` means that whoever calls acts on their own session or signs in, or that what is asked
for depends on the body. A field with `?` may be left out.
"""


def api_page() -> str:
    """Return the page of every operation below /api, from the application itself."""
    described = asyncio.run(_described())
    parts = ["# The admin API\n", _API]
    grouped: dict[str, list[Sequence[str]]] = {}
    for path, operations in described["paths"].items():
        for method, said in operations.items():
            place = f"{method.upper()} /api{path}"
            action = said.get("x-seawall-action")
            fields = _body(said, described)
            asks = "itself" if action is None else f"`{action}`"
            row = (f"`{place}`", said["summary"], asks, fields)
            grouped.setdefault(said["tags"][0], []).append(row)
    columns = ("operation", "what it does", "asks for", "fields of the body")
    for tag, rows in grouped.items():
        parts += [f"## {tag.capitalize()}\n", table(columns, rows)]
    return "\n".join(parts)


async def _described() -> dict[str, Any]:
    """Return the API's own description."""
    with tempfile.TemporaryDirectory() as folder:
        passphrase = Passphrase(b"only for this description")
        installation = Installation.create(Settings(Path(folder) / "data"), passphrase)
        async with installation.write() as writer:
            served: Any = next(
                each for each in writer.application().routes if getattr(each, "path", "") == "/api"
            )
            described: dict[str, Any] = served.app.openapi()
            return described


def _body(said: dict[str, Any], described: dict[str, Any]) -> str:
    """Return the names of the fields that an operation's body has, those that it needs first."""
    content = said.get("requestBody", {}).get("content", {}).get("application/json", {})
    found = resolved(content.get("schema", {}), described)
    needed = found.get("required", [])
    names = [*needed, *(name for name in found.get("properties", {}) if name not in needed)]
    return ", ".join(f"`{name}`" + ("" if name in needed else "?") for name in names)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def resolved(field: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return what a field refers to, leaving out that it may be null."""
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        return resolved(options[0], root)
    if "$ref" in field:
        found: dict[str, Any] = root
        for part in field["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return found
    return field
