"""Every TLS context of the product, made in one place: nothing else calls `ssl` for one.

TLS 1.2 and 1.3 with forward-secret, authenticated encryption alone (NIST SP 800-52
Rev. 2, RFC 9325; 45 CFR 164.312(e)(1), and (e)(2)(ii) for the encryption). It is a ring
of its own because listeners, clients and the command line all need it, and no adapter may
import another. The sandbox model stands for a vendor's server and has a context of its own.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""The suites of TLS 1.2; those of 1.3 are OpenSSL's: AES-GCM and ChaCha20-Poly1305."""

_LEVEL: Final = "@SECLEVEL=2"
"""OpenSSL's level: keys and curves of at least 112 bits, no SHA-1 in signatures."""


def server_context(
    certificate: Path,
    key: Path,
    password: str = "",
    *,
    clients: Path | None = None,
    clients_required: bool = False,
) -> ssl.SSLContext:
    """Return the context of a listener, HTTP/1.1; `clients` are whose certificates callers show.

    A certificate that is shown is verified, also where none is required. An authority in
    `clients` need not be a root. Raises OSError (ssl.SSLError is one) for files that cannot
    be read or do not belong together. Sessions of TLS 1.2 are resumed within one context:
    see `of_one_connection`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    # No tickets: their key would live as long as the process and open what was recorded
    # before, and a connection resumed by one shows the certificate of an earlier one.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, _answering(password))
    context.set_alpn_protocols(["http/1.1"])
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED if clients_required else ssl.CERT_OPTIONAL
    return context


def of_one_connection(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return what a single connection to a listener begins with, if it asks for certificates.

    OpenSSL resumes a session of TLS 1.2 by its id, without looking at the client's certificate
    again, and offers no switch for it here. It looks for sessions in the context that a
    connection began with: so each begins with one of its own, which knows none, and is handed
    over in its handshake. Where nobody is asked for a certificate, it is `context` itself.
    """
    if not context.verify_mode:
        return context
    first = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(first)
    # What OpenSSL copies when a connection begins, and not when it is handed over.
    first.options, first.verify_mode = context.options, context.verify_mode
    first.verify_flags = context.verify_flags
    choosing = context.sni_callback

    def hand_over(
        connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> None:
        """Go on with the listener's context, or with the one that it chooses."""
        connection.context = context
        if choosing is not None:
            choosing(connection, name, context)  # type: ignore[arg-type]  # typeshed: SSLObject too

    first.sni_callback = hand_over
    return first


def client_context(
    authority: str | Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    password: str = "",
) -> ssl.SSLContext:
    """Return the context of a client that verifies chain and host name.

    Without an authority the system's are trusted; one that is given need not be a root.
    `certificate` is the client's own. Raises OSError as `server_context` does. No variable
    of the environment makes it write secrets.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    # The name must be in the subjectAltName: the common name is free text (RFC 9525).
    context.hostname_checks_common_name = False
    if authority:
        context.load_verify_locations(authority)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate is not None:
        context.load_cert_chain(certificate, key, _answering(password))
    return context


def use_in_boto(client: Any, context: ssl.SSLContext) -> Any:
    """Let a client of boto3 connect by `context` alone; return the client.

    botocore makes contexts of its own otherwise, with old suites, and writes their secrets
    where SSLKEYLOGFILE says. It does so still where it fetches credentials by itself.
    """
    session = client._endpoint.http_session  # noqa: SLF001  there is no public way
    session._manager.connection_pool_kw["ssl_context"] = context  # noqa: SLF001  as above
    session._setup_ssl_cert = _verify_by_context  # noqa: SLF001  as above
    return client


def _verify_by_context(connections: Any, _url: str, _verify: object) -> None:
    """Add no authorities to those of the context."""
    connections.cert_reqs, connections.ca_certs = "CERT_REQUIRED", None


def _harden(context: ssl.SSLContext) -> None:
    """Set what holds on both sides: versions, suites, no compression, no renegotiation."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join((*SUITES, _LEVEL)))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # An intermediate authority can be named alone; else all below its root would be trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _answering(password: str) -> Callable[[], str]:
    """Answer the question for a key's password, which would stop at a terminal otherwise."""
    return lambda: password
