"""The repository as the house rules see it: Python modules, and text that is tracked."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
IGNORED = {".git", ".venv", "__pycache__", "seawall-demo", "build", "dist", "htmlcov"}
IGNORED |= {".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
_NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_NOT_CODE |= {tokenize.ENCODING, tokenize.ENDMARKER}
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file: its dotted name, where it lies, and its text."""

    name: str
    text: str
    path: str = "made-up.py"

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text, self.path)

    @property
    def is_package(self) -> bool:
        """Whether this is a package's own module."""
        return self.path.endswith("__init__.py")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the parsed text, walked once for all rules."""
        return list(ast.walk(self.tree))

    @property
    def functions(self) -> Iterator[FunctionNode]:
        """Every function and method, nested ones included."""
        return (node for node in self.nodes if isinstance(node, FunctionNode))

    @cached_property
    def code_lines(self) -> set[int]:
        """Line numbers that hold code: no comment, no blank, no bare string."""
        lines = {
            line
            for token in tokenize.generate_tokens(io.StringIO(self.text).readline)
            if token.type not in _NOT_CODE
            for line in range(token.start[0], token.end[0] + 1)
        }
        for node in self.nodes:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return lines


def modules(folder: str) -> list[Module]:
    """Read every Python file under a folder of the repository; `src` gives import names."""
    top = ROOT / folder
    return [_module(path, top) for path in sorted(top.rglob("*.py"))]


def _module(path: Path, top: Path) -> Module:
    parts = path.relative_to(top).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path.read_text("utf-8"), str(path.relative_to(ROOT)))


def tracked_texts() -> dict[str, str]:
    """Return path -> text of every file that the repository holds, or would on a commit."""
    texts = {}
    for name in _tracked():
        path = ROOT / name
        if not path.is_file() or path.is_symlink() or IGNORED.intersection(Path(name).parts):
            continue
        try:
            texts[name] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # not a text
    return texts


def _tracked() -> list[str]:
    """Ask git; in an unpacked archive, take every file that is not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(  # noqa: S603  a fixed command
            command, cwd=ROOT, capture_output=True, text=True, check=True
        )
        return sorted(filter(None, listed.stdout.split("\0")))
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*"))
