"""The access policies of this release, read once for the process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from seawall.adapters.policies import load_policies

if TYPE_CHECKING:
    from seawall.core.access.engine import ShippedPolicies


@cache
def shipped_policies() -> ShippedPolicies:
    """Return the shipped policies; `Invalid` if they are not sound."""
    return load_policies()
