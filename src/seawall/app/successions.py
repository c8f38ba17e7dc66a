"""A log and those that it succeeded: what decides by a history reads all of them.

A restoring freezes a log under its name with `~` and a number, and a new one begins
under the name itself. What was recorded before is as true as what is recorded since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.app.ports import SUCCEEDED

if TYPE_CHECKING:
    from seawall.app.ports import Store


async def line_of(store: Store, log: str) -> list[str]:
    """Return a log and those that it succeeded, the newest first."""
    own = f"{log}{SUCCEEDED}"
    earlier = [head.log for head in await store.logs() if head.log.startswith(own)]
    return [log, *sorted(earlier, key=lambda name: int(name.removeprefix(own)), reverse=True)]
