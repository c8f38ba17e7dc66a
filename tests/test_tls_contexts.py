"""Contexts of TLS: whom they trust when the authority that is named is no root."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from certified import Pair, TestAuthority, handshake
from seawall.tls import client_context, server_context

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> TestAuthority:
    """Return an organisation's root authority."""
    return TestAuthority(tmp_path / "root", "root")


@pytest.fixture
def applications(root: TestAuthority, tmp_path: Path) -> TestAuthority:
    """Return the authority of its applications, which alone is named below."""
    return TestAuthority(tmp_path / "applications", "applications", root)


@pytest.fixture
def printers(root: TestAuthority, tmp_path: Path) -> TestAuthority:
    """Return another authority below the same root."""
    return TestAuthority(tmp_path / "printers", "printers", root)


def chained(pair: Pair, *authorities: TestAuthority) -> Pair:
    """Add authorities' certificates to what a pair shows."""
    more = b"".join(each.certificate.read_bytes() for each in authorities)
    pair.certificate.write_bytes(pair.certificate.read_bytes() + more)
    return pair


@pytest.mark.parametrize("required", [False, True])
def test_clients_of_an_intermediate_authority_are_taken_and_its_siblings_are_not(
    root: TestAuthority, applications: TestAuthority, printers: TestAuthority, *, required: bool
) -> None:
    """An intermediate can be named as client_authority; who is below its root is not trusted."""
    pair, ours = applications.server(), applications.client()
    server = server_context(
        pair.certificate, pair.key, clients=applications.certificate, clients_required=required
    )
    theirs = chained(printers.client(), printers, root)

    handshake(server, client_context(applications.certificate, ours.certificate, ours.key))

    with pytest.raises(ssl.SSLError):
        handshake(server, client_context(applications.certificate, theirs.certificate, theirs.key))


def test_a_server_of_an_intermediate_authority_is_trusted_and_its_siblings_is_not(
    root: TestAuthority, applications: TestAuthority, printers: TestAuthority
) -> None:
    """A client that names an intermediate trusts servers of that one alone."""
    ours, theirs = applications.server(), chained(printers.server(), printers, root)
    client = client_context(applications.certificate)

    handshake(server_context(ours.certificate, ours.key), client)

    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server_context(theirs.certificate, theirs.key), client)
