"""The import law: rings, and which may import which. Imports point inwards only."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from house.sources import Module

EVERYTHING = "*"
LAW: dict[str, frozenset[str]] = {
    "core": frozenset({"core"}),
    "app": frozenset({"app", "core"}),
    # Every TLS context is made in one module, which whoever connects or listens may use.
    "tls": frozenset({"core"}),
    # An adapter knows the ports that it implements, not the intents that use it.
    "adapters": frozenset({"app.ports", "core", "tls"}),
    "config": frozenset({"config", "core"}),
    # Which module is broken must be told where what is composed cannot be loaded.
    "crypto": frozenset({"adapters.fips", "config", "core"}),
    "http": frozenset({"http", "app", "core", "tls"}),
    # It runs in other people's services, and knows nothing of the server.
    "client": frozenset({"client", "core", "tls"}),
    "console": frozenset({"console", "app", "core"}),
    # The composition root must be reached from somewhere: a process starts at
    # one of these two edges, which read the settings and call compose.
    "cli": frozenset({"cli", "app", "core", "compose", "config", "crypto", "demo", "tls"}),
    # The demo runs the commands that its visitor will run, and is one of them.
    "demo": frozenset({"demo", "cli", "app", "core", "compose", "config", "tls"}),
    "compose": frozenset({EVERYTHING}),
    # Both run alone: the auditor trusts no other code of ours, and the sandbox
    # model stands for a vendor's.
    "verifier": frozenset({"verifier"}),
    "sandbox": frozenset({"sandbox"}),
    # The package itself holds its version, which everybody may read.
    "": frozenset(),
}


def lawless_imports(sources: Iterable[Module]) -> list[str]:
    """Return every import that the law does not allow, imports for type checkers included."""
    known = {source.name: source for source in sources}
    return [
        f"{source.name} imports {target}"
        for source in known.values()
        for target in targets(source, known, typing=True)
        if not _allows(source.name, target)
    ]


def _allows(importer: str, imported: str) -> bool:
    own, other = importer.partition(".")[2], imported.partition(".")[2]
    ring, target = own.split(".")[0], other.split(".")[0]
    if not other:
        return True
    if ring == target == "adapters":
        return _room(own) == _room(other)
    law = LAW.get(ring, frozenset())
    return EVERYTHING in law or target in law or other in law


def _room(name: str) -> str:
    """Return an adapter's own subpackage (adapters.db) or module (adapters.clock)."""
    return ".".join(name.split(".")[:2])


def unknown_rings(sources: Iterable[Module]) -> list[str]:
    """Return the modules whose ring the law does not name: empty means no."""
    return [source.name for source in sources if (source.name + "..").split(".")[1] not in LAW]


def import_cycles(sources: Iterable[Module]) -> list[list[str]]:
    """Return groups of modules that import each other at run time."""
    known = {source.name: source for source in sources}
    graph = {name: set(targets(known[name], known, typing=False)) - {name} for name in known}
    reach = {name: _reachable(name, graph) for name in graph}
    groups = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in graph
        if name in reach[name]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph[name])
    return found


def targets(source: Module, known: Mapping[str, Module], *, typing: bool) -> list[str]:
    """Return the modules of ours that a module imports; lazily, too."""
    ours = {name.partition(".")[0] for name in known}
    named = imported_names(source, typing=typing)
    found = (_longest_known(name, known) for name in named if name.partition(".")[0] in ours)
    return [name for name in found if name]


def _longest_known(name: str, known: Mapping[str, Module]) -> str:
    """`from a.b import c` names a.b.c, which is a module or something in one."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def imported_names(source: Module, *, typing: bool) -> Iterator[str]:
    """Yield every dotted name that is imported, absolute; for type checkers only if `typing`."""
    skipped = set() if typing else _for_type_checkers(source)
    for node in source.nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _for_type_checkers(source: Module) -> set[int]:
    return {
        id(inner)
        for node in source.nodes
        if isinstance(node, ast.If) and ast.unparse(node.test) in _TYPE_CHECKING
        for statement in node.body
        for inner in ast.walk(statement)
    }


_TYPE_CHECKING = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _absolute(source: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    kept = parts[: len(parts) - node.level + source.is_package]
    return ".".join([*kept, *filter(None, [node.module])])


def dynamic_imports(sources: Iterable[Module]) -> list[str]:
    """Return imports by name at run time, which no reader of imports could see."""
    return [
        f"{source.name}:{node.lineno}"
        for source in sources
        for node in source.nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in {"__import__", "import_module", "exec", "eval"}
    ]
