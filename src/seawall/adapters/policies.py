"""Reads the packaged access policies and their schema."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from seawall.core.access.engine import ShippedPolicies

_FOLDER: Final = files("seawall") / "rules"


def load_policies() -> ShippedPolicies:
    """Return the shipped policies; `Invalid` if they are not sound. Takes a while, so keep it."""
    return ShippedPolicies.read(
        (_FOLDER / "access.cedarschema").read_text(encoding="utf-8"),
        (_FOLDER / "access.cedar").read_text(encoding="utf-8"),
    )
