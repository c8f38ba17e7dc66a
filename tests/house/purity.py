"""What core may use: no I/O, clock, randomness, environment, threads or asyncio.

Modules are listed, not forbidden one by one: what is not listed is refused,
so that a new one is a decision somebody takes here.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from house.imports import imported_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from house.sources import Module

PURE = frozenset(
    {
        # the language
        *("__future__", "abc", "collections", "contextlib", "copy", "dataclasses", "enum"),
        *("functools", "itertools", "operator", "types", "typing", "typing_extensions"),
        # values and text; `datetime` for its types, its clock is refused below
        *("base64", "binascii", "bisect", "calendar", "datetime", "decimal", "difflib"),
        *("fractions", "hashlib", "heapq", "hmac", "html", "ipaddress", "json", "math", "re"),
        *("string", "struct", "textwrap", "unicodedata", "urllib.parse", "zlib"),
        # pure third-party code: design, section 2
        *("ahocorasick_rs", "cedarpy", "cryptography.exceptions", "cryptography.hazmat.primitives"),
        *("orjson", "pydantic", "pydantic_core", "re2"),
        "seawall.core",
    }
)
IMPURE_CALLS = frozenset(
    {
        *("open", "print", "input", "now", "utcnow", "today", "time", "monotonic", "perf_counter"),
        *("getenv", "urandom", "token_bytes", "token_hex", "generate_key", "generate"),
        *("read_text", "write_text", "read_bytes", "write_bytes", "sleep", "breakpoint"),
    }
)


def impure_imports(core: Iterable[Module]) -> list[str]:
    """Return what core imports beyond the list, imports for type checkers left out."""
    return [
        f"{source.name} imports {name}"
        for source in core
        for name in imported_names(source, typing=False)
        if not any(name == pure or name.startswith(f"{pure}.") for pure in PURE)
    ]


def impure_calls(core: Iterable[Module]) -> list[str]:
    """Return calls in core that read or change the world."""
    return [
        f"{source.name}:{node.lineno} calls {called}"
        for source in core
        for node in source.nodes
        if isinstance(node, ast.Call)
        and (called := ast.unparse(node.func).split(".")[-1]) in IMPURE_CALLS
        and not _is_time_of_day(node)
    ]


def _is_time_of_day(call: ast.Call) -> bool:
    """`datetime.time(9, 30)` is a value; a clock is read without arguments."""
    return ast.unparse(call.func).endswith("time") and bool(call.args or call.keywords)
