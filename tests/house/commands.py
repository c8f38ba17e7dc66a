"""The command line as programs have it, against the page that describes it.

The page has one heading per command, `## seawall ledger verify` (any level, in
backticks or not), and names each option and argument of the command in its
section. An argument is named in capitals, as the help prints it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.main import get_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    import typer

_HEADING = re.compile(r"^#+ +`?(seawall[a-z-]*(?: [a-z][a-z-]*)*)[^\n]*$", re.MULTILINE)
_ANY_HEADING = re.compile(r"^#+ ", re.MULTILINE)


def commands(app: typer.Typer, program: str = "seawall") -> dict[str, set[str]]:
    """Return every command ("seawall ledger verify") with its options and arguments."""
    found: dict[str, set[str]] = {}
    waiting = [(program, get_command(app))]
    while waiting:
        name, command = waiting.pop()
        nested = getattr(command, "commands", None)
        if nested is None:
            found[name] = {_spelling(parameter) for parameter in command.params} - {"--help"}
        else:
            waiting.extend((f"{name} {key}", inner) for key, inner in nested.items())
    return found


def _spelling(parameter: Any) -> str:
    """Return `--json` for an option, `FILE` for an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return str(max(parameter.opts, key=len))


def options_in_help(text: str) -> set[str]:
    """Return the long options that a printed help names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help"}


def sections(page: str) -> dict[str, str]:
    """Return command -> the text under its heading, up to the next heading."""
    found = {}
    for heading in _HEADING.finditer(page):
        following = _ANY_HEADING.search(page, heading.end())
        found[heading[1]] = page[heading.start() : following.start() if following else None]
    return found


def undocumented(known: Mapping[str, set[str]], page: str) -> list[str]:
    """Return commands without a section, and options that their section does not name."""
    described = sections(page)
    missing = [name for name in known if name not in described]
    return missing + [
        f"{name} {option}"
        for name, options in known.items()
        for option in sorted(options)
        if name in described
        and not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", described[name])
    ]


def invented(known: Mapping[str, set[str]], page: str) -> list[str]:
    """Return headings of commands, and options in their sections, that do not exist."""
    described = sections(page)
    groups = {name.rsplit(" ", 1)[0] for name in known}
    ghosts = [name for name in described if name not in known and name not in groups]
    return ghosts + [
        f"{name} {option}"
        for name in described
        if name in known
        for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", described[name])))
        if option not in known[name] | {"--help"}
    ]
