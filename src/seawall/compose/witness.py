"""A witness's folder: its keys under a passphrase, its memory, its server.

It needs nothing of a data folder of Seawall's, and has none.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.keys.ring_file import RingFile
from seawall.adapters.logs import LogNotifier
from seawall.adapters.witness_store import WitnessFile
from seawall.app.cosign import Cosign, CosignerKey
from seawall.app.rounds import Rounds
from seawall.compose.listening import CERTIFICATE_SECONDS, live_certificate, reloading_on_hangup
from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.cosignature import NAME_BYTES, make_cosigner, parse_cosigner
from seawall.core.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, is_key_name
from seawall.http.server import listen, serving
from seawall.http.witness import witness_application

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from seawall.config import Passphrase

_RING: Final = "keys.json"
_BOOK: Final = "witness.db"
_KEYS: Final = ("ed25519", "ml-dsa-44", "certificate")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def witness_book(folder: Path) -> WitnessFile:
    """Return what the witness of a folder remembers; its keys stay locked."""
    return WitnessFile(folder / _BOOK)


def create_witness(folder: Path, name: str, passphrase: Passphrase) -> list[str]:
    """Make a witness with two keys of its own; return its verifier keys.

    `name` is a URL without a scheme, such as witness.example.org/w1. `Invalid` if it cannot
    be a key's name, `Conflict` if the folder has a witness.
    """
    if not is_key_name(name) or not name.isascii() or len(name) > NAME_BYTES:
        raise Invalid(
            "witness-name",
            "this cannot be a witness's name",
            "use a URL without a scheme, such as witness.example.org/w1",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / _RING).exists() and not (folder / _BOOK).exists():
        # An earlier attempt was ended between the two.
        ring = RingFile.unlock(folder / _RING, passphrase.needed().value, SystemRandom())
    else:
        ring = RingFile.create(folder / _RING, passphrase.needed().value, SystemRandom(), _KEYS)
    vkeys = [str(each.key) for each in _keys(ring, name)]
    _certificate(folder, ring, name)
    WitnessFile.create(folder / _BOOK, vkeys)
    return vkeys


def _host(name: str) -> str:
    """Return the host in a witness's name, or localhost where it has none."""
    host = name.partition("/")[0]
    return host if _HOST.fullmatch(host) else "localhost"


def _certificate(folder: Path, ring: RingFile, name: str) -> ServerCertificate:
    password = ring.key("certificate").hex()
    return ensure_certificate(folder / "tls", _host(name), password, SystemClock())


def _keys(ring: RingFile, name: str) -> list[CosignerKey]:
    """Return the two keys, Ed25519 first: distinct ones, as tlog-cosignature demands."""
    ed25519 = Ed25519PrivateKey.from_private_bytes(ring.key("ed25519"))
    ml_dsa_44 = MLDSA44PrivateKey.from_seed_bytes(ring.key("ml-dsa-44"))
    public = ed25519.public_key().public_bytes_raw()
    large = ml_dsa_44.public_key().public_bytes_raw()
    return [
        CosignerKey(make_cosigner(name, COSIGNATURE_ED25519, public), ed25519.sign),
        CosignerKey(make_cosigner(name, COSIGNATURE_ML_DSA_44, large), ml_dsa_44.sign),
    ]


@asynccontextmanager
async def serve_witness(
    folder: Path,
    passphrase: Passphrase,
    *,
    host: str,
    port: int,
    own: tuple[Path, Path] | None = None,
    heeds_hangup: bool = False,
) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """Listen while the context lasts; yield the submission prefix and the server's task.

    The folder keeps a certificate for the host in the witness's name, from an authority of
    its own: `tls/authority.pem`; `own` is the operator's certificate and key instead. One that
    heeds SIGHUP, in a process of its own, looks at them then.
    """
    book = witness_book(folder)
    vkeys = book.vkeys()
    ring = RingFile.unlock(folder / _RING, passphrase.needed().value, SystemRandom())
    keys = _keys(ring, parse_cosigner(vkeys[0]).name if vkeys else "")
    if [str(each.key) for each in keys] != vkeys:
        raise Tampered(
            "witness-store-tampered",
            "the witness's file names other keys than its key ring holds",
            "restore the whole folder from one backup",
        )
    name, clock, notifier = _host(keys[0].key.name), SystemClock(), LogNotifier()
    password = ring.key("certificate").hex()
    certificate = live_certificate(
        folder / "tls", name, password, own=own, clock=clock, notifier=notifier
    )
    watching = Rounds(
        "certificate", certificate.check, seconds=CERTIFICATE_SECONDS, notifier=notifier
    )
    app = witness_application(Cosign(keys=keys, book=book, clock=clock), notifier)
    listener = listen(host, port)
    heeding = reloading_on_hangup(certificate, notifier) if heeds_hangup else nullcontext()
    async with serving(app, listener, certificate.context) as task:
        watching.start()
        try:
            with heeding:
                yield f"https://{name}:{listener.getsockname()[1]}", task
        finally:
            await watching.stop()
