"""`seawall access explain` and `matrix`: who may do what, and why.

Reading the registers, as `seawall get` does, is no entry.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.app.explain_access import Asked, ExplainAccess
from seawall.app.policies import TenantPolicies
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import echo, echo_lines, print_json
from seawall.compose.policies import shipped_policies
from seawall.core.access.matrix import matrix, matrix_fields, matrix_text
from seawall.core.registers.register import Register

if TYPE_CHECKING:
    from seawall.compose import Installation
    from seawall.core.access.explain import Explanation

commands = typer.Typer(no_args_is_help=True, help="Who may do what, and why.")


@commands.command()
def explain(
    principal: Annotated[
        str, typer.Argument(help="Who: user/NAME, client/NAME or role/ROLE.", show_default=False)
    ],
    action: Annotated[str, typer.Argument(help="What they would do, such as open-payload.")],
    resource: Annotated[
        str, typer.Argument(help="To what: Payload/*, Patient/ID, Document/Agreement/NAME.")
    ],
    purpose: Annotated[
        str | None, typer.Option("--purpose", help="For which purpose, such as treatment.")
    ] = None,
    fresh_factor: Annotated[
        bool, typer.Option("--fresh-factor", help="As if a factor had just been shown.")
    ] = False,
    reason: Annotated[bool, typer.Option("--reason", help="As if a reason were given.")] = False,
    emergency_mode: Annotated[
        bool, typer.Option("--emergency-mode", help="As if emergency mode were on.")
    ] = False,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Say whether somebody may do something, by which policies, and what would change it."""
    asked = Asked(
        principal,
        action,
        resource,
        purpose,
        has_fresh_factor=fresh_factor,
        has_reason=reason,
        in_emergency_mode=emergency_mode,
    )
    installation = open_installation(data_dir, passphrase_file)
    found = asyncio.run(_explain(installation, tenant, asked))
    if json:
        print_json(found.fields())
        return
    for line in _lines(asked, found):
        echo(line)


@commands.command("matrix")
def matrix_command(json: Json = False) -> None:
    """Show who may do what, by role and purpose, as the policies of this release answer."""
    rows = matrix(shipped_policies().having({}))
    if json:
        print_json(matrix_fields(rows))
    else:
        echo_lines(matrix_text(rows))


@dataclass(frozen=True, slots=True)
class _Read:
    """The documents of one tenant, as they were read."""

    held: Register

    def register(self, _tenant: str) -> Register:
        """Return them."""
        return self.held


async def _explain(installation: Installation, tenant: str | None, asked: Asked) -> Explanation:
    chosen = await choose_tenant(installation, tenant)
    registers = _Read(Register(await installation.store.documents(chosen)))
    policies = TenantPolicies(shipped_policies(), registers)
    explaining = ExplainAccess(
        registers=registers,
        policies=policies,
        clock=installation.clock,
        provisioners=installation.settings.access.named,
    )
    return explaining.explain(chosen, asked)


def _lines(asked: Asked, found: Explanation) -> list[str]:
    answer = found.answer
    said = "allowed" if answer.allowed else f"refused [{answer.code}]"
    purpose = "" if asked.purpose is None else f" for {asked.purpose}"
    lines = [f"{said}: {asked.principal} {asked.action} {asked.resource}{purpose}", ""]
    for told in found.policies:
        law = f" ({told.law})" if told.law else ""
        lines.append(f"by {told.name}: {told.title}{law}")
    if not found.policies:
        lines.append("by no policy: nothing permits it")
    if answer.allowed:
        return lines
    lines.append("")
    if not found.changes:
        return [*lines, "nothing that was tried would change it"]
    lines.append("it would be allowed with")
    together = [" and ".join(change.words for change in changes) for changes in found.changes]
    return [*lines, *(f"  {'or ' * bool(at)}{words}" for at, words in enumerate(together))]
