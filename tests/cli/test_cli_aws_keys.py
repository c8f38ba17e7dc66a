"""An installation whose root keys are in AWS KMS, from the terminal, beside a simulator of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kms_simulators import OPERATOR, credentials, new_prefix, running
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROFILE = {"SEAWALL_KEYS_OPERATOR_PROFILE": OPERATOR}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Terminal]:
    """Yield a terminal on a folder that has settings and is not an installation yet."""
    lines = (
        "[keys]",
        'provider = "aws"',
        'region = "us-east-1"',
        f'endpoint = "{running("moto").url}"',
        f'prefix = "{new_prefix()}"',
    )
    (tmp_path / "seawall.toml").write_text("\n".join(lines), "utf-8")
    with credentials():
        yield Terminal(tmp_path)


def test_root_keys_are_made_by_an_operator_and_used_by_the_service(told: Terminal) -> None:
    """Without a passphrase: KMS opens the key ring, and what is sealed is under its keys."""
    assert 0 == told.run("init", "--tenant", "clinic", SEAWALL_PASSPHRASE="", **PROFILE).status
    said = told.run("keys", "list", "--json", SEAWALL_PASSPHRASE="").json()
    roots = [(one["version"], one["state"]) for one in said["root"]]
    assert ("aws", [(1, "enabled")]) == (said["provider"], roots)


def test_without_an_operator_no_root_key_is_made(told: Terminal) -> None:
    """Nor is anything left that looks like an installation: the operator begins anew."""
    assert "root-key-missing" == told.run("init", "--tenant", "clinic").code
    assert not (told.folder / "keys" / "ring.json").exists()
