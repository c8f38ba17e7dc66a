"""Logs and witnesses with keys from fixed seeds, for tests and for the vectors of cosignatures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, sign_checkpoint
from seawall.core.ledger.cosignature import cosign, make_cosigner
from seawall.core.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    SignatureLine,
    read_note,
)
from seawall.core.ledger.proofs import consistency_proof
from seawall.core.ledger.tree import EMPTY_ROOT, Edge, extend, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seawall.core.ledger.note import VerifierKey

NOW: Final = 1_770_000_000
"""The second at which these witnesses cosign, unless told otherwise."""


@dataclass(frozen=True)
class Cosigner:
    """A witness's key: what others know of it, and what signs."""

    key: VerifierKey
    sign: Callable[[bytes], bytes]

    def cosign(self, note: str, at: int = NOW) -> SignatureLine:
        """Return this key's line for a checkpoint."""
        return cosign(read_note(note), self.key, self.sign, at)

    def cosigned(self, note: str, at: int = NOW) -> str:
        """Return the checkpoint with this key's line below it."""
        return note + str(self.cosign(note, at))


def seed_of(name: str) -> bytes:
    """Return the seed of a key that is called so."""
    return hashlib.sha256(name.encode()).digest()


def ed25519(name: str, seed: str = "") -> Cosigner:
    """Return a witness that cosigns with Ed25519."""
    private = Ed25519PrivateKey.from_private_bytes(seed_of(seed or name))
    public = private.public_key().public_bytes_raw()
    return Cosigner(make_cosigner(name, COSIGNATURE_ED25519, public), private.sign)


def ml_dsa_44(name: str, seed: str = "") -> Cosigner:
    """Return a witness that cosigns with ML-DSA-44."""
    private = MLDSA44PrivateKey.from_seed_bytes(seed_of(seed or name))
    public = private.public_key().public_bytes_raw()
    return Cosigner(make_cosigner(name, COSIGNATURE_ML_DSA_44, public), private.sign)


class SeededLog:
    """A log of numbered entries under a key from a seed: signs any size, proves any growth.

    `fork` makes the entries from an index on others than those of the plain log.
    """

    def __init__(self, origin: str, seed: str = "", *, fork: int | None = None) -> None:
        self.origin = origin
        self.private = Ed25519PrivateKey.from_private_bytes(seed_of(seed or origin))
        self.public = self.private.public_key().public_bytes_raw()
        self.vkey = format_vkey(origin, self.public)
        self.fork = fork

    def grown(self, size: int) -> tuple[bytes, Mapping[tuple[int, int], bytes]]:
        """Return the root and the tiles of the log of this size."""
        leaves = [
            leaf_hash(
                f"{'other' if self.fork is not None and at >= self.fork else 'entry'} {at}".encode()
            )
            for at in range(size)
        ]
        if not leaves:
            return EMPTY_ROOT, {}
        extension = extend(Edge(0, ()), leaves)
        return extension.edge.root(), extension.tiles

    def checkpoint(self, size: int, root: bytes | None = None) -> str:
        """Return the signed checkpoint of this size, over another root if one is given."""
        held = self.grown(size)[0] if root is None else root
        return sign_checkpoint(
            Checkpoint(self.origin, size, held), self.origin, self.private.sign, self.public
        )

    def proof(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof between two sizes; empty from size zero."""
        tiles = self.grown(new)[1]
        return consistency_proof(old, new, lambda level, at: tiles[level, at]) if old else []
