"""`seawall crypto`, and the setting that refuses to start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


def test_modules_are_listed_without_a_data_folder(tmp_path: Path) -> None:
    """Programs read each module with its version, its use and its mode."""
    said = Terminal(tmp_path / "none").run("crypto", "--json").json()

    modules = {one["module"]: one for one in said["modules"]}
    assert not said["fips_required"]
    assert {"cryptography", "Python", "SQLCipher", "Argon2id"} <= set(modules)
    assert ("not-approved", True) == (modules["Argon2id"]["mode"], modules["Argon2id"]["used"])


def test_a_table_claims_nothing_for_the_product(tmp_path: Path) -> None:
    """People read the modes, and that neither a program nor this product is proof."""
    said = Terminal(tmp_path / "none").run("crypto")

    assert all(word in said.out for word in ("cryptography", "SQLCipher", "Argon2id"))
    assert "Seawall itself is not validated" in said.err
    assert "sees a mode and no certificate" in said.err


@pytest.mark.parametrize("command", [("init", "--tenant", "hillside"), ("serve",)])
def test_nothing_starts_without_fips_mode_where_it_is_required(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A passphrase alone is a reason, whatever the modules here are; nothing is made."""
    terminal = Terminal(tmp_path / "data")

    said = terminal.run(*command, SEAWALL_FIPS_REQUIRED="true")

    assert ("fips-required", False) == (said.code, terminal.folder.exists())


def test_the_setting_is_true_or_false(tmp_path: Path) -> None:
    """Anything else refuses to start."""
    said = Terminal(tmp_path / "data").run("crypto", SEAWALL_FIPS_REQUIRED="yes please")

    assert "wrong-setting" == said.code


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False)])
def test_the_setting_may_stand_in_the_file(tmp_path: Path, text: str, *, expected: bool) -> None:
    """In seawall.toml it is a truth of TOML."""
    (tmp_path / "seawall.toml").write_text(f"fips_required = {text}\n", encoding="utf-8")

    assert expected == Terminal(tmp_path).run("crypto", "--json").json()["fips_required"]


NO_PROVIDER: Final = """
openssl_conf = openssl_init
[openssl_init]
alg_section = algorithm_sect
[algorithm_sect]
default_properties = fips=yes
"""
"""A configuration of OpenSSL that asks for FIPS mode, and loads no provider that has it."""


def without_provider(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, where no OpenSSL can encrypt."""
    (folder / "openssl.cnf").write_text(NO_PROVIDER, encoding="ascii")
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", "from seawall.cli import main; main()", *command],
        env={"OPENSSL_CONF": str(folder / "openssl.cnf"), "SEAWALL_DATA_DIR": str(folder / "data")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_modules_are_told_where_none_of_them_works(tmp_path: Path) -> None:
    """In the state that it is asked about, where most of the program does not load, it answers."""
    said = without_provider(tmp_path, "crypto", "--json")

    modes = {one["module"]: one["mode"] for one in json.loads(said.stdout)["modules"]}
    assert (0, {"broken"}) == (
        said.returncode,
        {modes[name] for name in ("cryptography", "Python", "SQLCipher")},
    )


def test_other_commands_say_that_no_module_works(tmp_path: Path) -> None:
    """Nothing starts, and two lines say why and what tells more."""
    said = without_provider(tmp_path, "init", "--tenant", "hillside")

    assert (1, True, False, False) == (
        said.returncode,
        "[crypto-broken]" in said.stderr,
        "Traceback" in said.stderr,
        (tmp_path / "data").exists(),
    )
