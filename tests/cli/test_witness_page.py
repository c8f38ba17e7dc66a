"""The page about witnesses runs as it is written: a witness, a log, a cosigned proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ports import free_ports
from test_docs import DOCS, Running, expected_lines, fences, not_printed

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DOCS / "how-to" / "run-a-witness.md"

BEFORE = """\
set -eu
trap 'kill $started; wait' EXIT
started=
mkdir -m 700 operator
echo 'a passphrase of the tests' > operator/passphrase
printf 'port = 8443\\n' > operator/seawall.toml
mkdir -m 700 seawall-data
cp operator/seawall.toml seawall-data
seawall init --tenant riverside --data-dir seawall-data --passphrase-file operator/passphrase
"""
"""What the page presupposes: a log's operator with a data folder and a passphrase."""


def script() -> str:
    """Return the page's commands as one script; what is in the background ends with it."""
    parts = [BEFORE]
    for info, text in fences(PAGE):
        if info == "sh run background":
            parts.append(f'{text.strip()} &\nstarted="$started $!"\n')
        elif info == "sh run":
            parts.append(text)
            if "mkdir -m 700 secrets" in text:
                parts.append("cp operator/passphrase secrets/passphrase\n")
    return "".join(parts)


def test_a_witness_is_run_and_named_as_described(tmp_path: Path) -> None:
    """Every command of the page succeeds, and prints what the page says."""
    text = script()
    for named, free in zip(("8443", "8444"), free_ports(2), strict=True):
        text = text.replace(named, str(free))
    folder = tmp_path / "page"
    folder.mkdir()

    status, printed = Running.start(text, folder).finish()

    assert 0 == status, printed
    assert [] == not_printed(expected_lines(PAGE, "text printed"), printed), printed
