"""Certificates of listeners: a private authority's or the operator's, watched while serving."""

from seawall.adapters.certificates.authority import (
    RENEW_DAYS,
    ServerCertificate,
    ensure_certificate,
    renew_certificate,
)
from seawall.adapters.certificates.live import CertificateFiles, LiveCertificate

__all__ = [
    "RENEW_DAYS",
    "CertificateFiles",
    "LiveCertificate",
    "ServerCertificate",
    "ensure_certificate",
    "renew_certificate",
]
