"""Retention and legal holds: raised and placed, never lowered and never rewritten."""

from __future__ import annotations

from datetime import date

import pytest

from seawall.core.errors import Refused
from seawall.core.registers.legal_hold import LegalHoldSpec
from seawall.core.registers.register import Register
from seawall.core.registers.retention import RetentionSpec
from seawall.core.registers.spec import Document

PATIENT = "350e8b02e1833a2c4febf2ca"
DAY = date(2026, 3, 2)


def hold(**fields: object) -> LegalHoldSpec:
    """Return a hold's spec."""
    return LegalHoldSpec.model_validate({"matter": "Docket 1", "placed": DAY, **fields})


def test_retention_can_be_raised() -> None:
    """More years become the next version."""
    register = Register([Document("Retention", "ledger", 1, RetentionSpec(years=7))])
    changed = register.next_version("Retention", "ledger", RetentionSpec(years=10))
    assert changed is not None
    assert "Retention/ledger@2" == changed.reference


def test_retention_is_never_lowered() -> None:
    """Fewer years than the version before are refused."""
    register = Register([Document("Retention", "ledger", 1, RetentionSpec(years=7))])
    with pytest.raises(Refused) as caught:
        register.next_version("Retention", "ledger", RetentionSpec(years=6))
    assert "retention-lowered" == caught.value.code


@pytest.mark.parametrize(
    ("before", "after"), [(None, PATIENT), (PATIENT, None), (PATIENT, "0" * 24)]
)
def test_a_hold_is_not_rewritten(before: str | None, after: str | None) -> None:
    """A hold cannot be turned into one of somebody else; it is released instead."""
    register = Register([Document("LegalHold", "case", 1, hold(patient=before))])
    with pytest.raises(Refused) as caught:
        register.next_version("LegalHold", "case", hold(patient=after))
    assert "hold-changed" == caught.value.code


def test_a_hold_is_released() -> None:
    """`released` becomes the next version."""
    register = Register([Document("LegalHold", "case", 1, hold())])
    changed = register.next_version("LegalHold", "case", hold(released=DAY))
    assert changed is not None
    assert "LegalHold/case@2" == changed.reference


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"placed": date(2030, 1, 1)}, True),
        ({"released": DAY}, False),
        ({"released": date(2026, 3, 3)}, True),
        ({"released": date(2020, 1, 1)}, False),
    ],
)
def test_a_hold_holds_until_it_is_released(fields: dict[str, date], expected: bool) -> None:  # noqa: FBT001
    """From when it is applied until its day of release, whatever day it was placed on."""
    assert expected is hold(**fields).is_in_force(DAY)
