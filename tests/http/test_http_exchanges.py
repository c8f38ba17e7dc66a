"""Exchanges through a real server: plain, streamed, with tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Server, Upstream


def test_plain_exchange_is_answered_and_names_its_entry(server: Server, upstream: Upstream) -> None:
    """A plain exchange is answered with its text restored, and the header names the intent."""
    patient = server.clinic.patients["koepp"]

    reply = server.ask("Call Abdul Koepp back.", patient=patient.reference)

    assert ("answered", "Call Abdul Koepp back.") == (reply.code, reply.text())
    assert "Koepp" not in str(upstream.received())
    assert "exchange.intent" == server.clinic.entries()[reply.entry]["action"]
