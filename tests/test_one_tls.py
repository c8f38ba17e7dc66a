"""Every TLS context comes from `seawall.tls`, or from the sandbox model, which stands alone."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

import pytest

from house.sources import Module, modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAKERS: Final = ("seawall.tls", "seawall.sandbox.server")
MADE: Final = {"SSLContext", "create_default_context", "create_urllib3_context", "wrap_socket"}
UNVERIFIED: Final = {"_create_unverified_context", "CERT_NONE", "check_hostname"}
SWITCHES: Final = {"verify", "ssl", "verify_ssl", "use_ssl", "cert_reqs"}


def offences(sources: Iterable[Module]) -> list[str]:
    """Return where a context is made elsewhere, or verification is turned off anywhere."""
    return [
        f"{source.name}:{line}" for source in sources for line in sorted(set(_lines_of(source)))
    ]


def _lines_of(source: Module) -> Iterator[int]:
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), keywords=given):
                if name in MADE and source.name not in MAKERS:
                    yield node.lineno
                if any(
                    each.arg in SWITCHES
                    and isinstance(each.value, ast.Constant)
                    and each.value.value is False
                    for each in given
                ):
                    yield node.lineno
            case ast.Attribute(attr=name) if name in UNVERIFIED:
                yield node.lineno


def test_every_context_is_made_in_one_place() -> None:
    """No module but these two makes one, and none turns verification off."""
    assert [] == offences(modules("src"))


@pytest.mark.parametrize(
    "text",
    [
        "import ssl\ncontext = ssl.create_default_context()",
        "from ssl import SSLContext\ncontext = SSLContext(2)",
        "context = ssl._create_unverified_context()",
        "context.verify_mode = ssl.CERT_NONE",
        "context.check_hostname = False",
        "client = boto3.client('s3', verify=False)",
        "await session.get(url, ssl=False)",
    ],
)
def test_another_context_is_seen(text: str) -> None:
    """A context of one's own, or one that verifies nothing, is named."""
    assert offences([Module("seawall.adapters.made_up", text)])
