"""Every key manager that the contract runs against; a provider joins by one more entry."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import kms_simulators
import openbao
from fake_keys import MemoryKeyManager
from fakes import FakeClock, FakeRandom
from seawall.adapters.keys.file import FileKeys
from seawall.adapters.keys.guarded import GuardedKeyManager, GuardedKeyOperator
from seawall.adapters.keys.ring_file import RingFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import pytest

    from seawall.adapters.keys.provider import Operator, Provider
    from seawall.app.ports import KeyManager, KeyOperator

PATIENCE: Final = 30.0
"""Seconds that a call may take here: a busy machine makes no test fail."""


@dataclass(frozen=True)
class Keys:
    """One key manager without a root key, by the service's credentials and an operator's."""

    manager: KeyManager
    operator: KeyOperator


@contextmanager
def memory(_request: pytest.FixtureRequest) -> Iterator[Keys]:
    """Yield the fake."""
    keys = MemoryKeyManager()
    yield Keys(keys, keys)


@contextmanager
def file(request: pytest.FixtureRequest) -> Iterator[Keys]:
    """Yield the root keys in a ring file."""
    path = request.getfixturevalue("tmp_path") / "ring.json"
    keys = FileKeys(RingFile.create(path, b"passphrase", FakeRandom()), FakeClock(), FakeRandom())
    yield guarded(keys, keys)


@contextmanager
def openbao_transit(_request: pytest.FixtureRequest) -> Iterator[Keys]:
    """Yield the transit engine of a real OpenBao."""
    server, prefix = openbao.server(), openbao.new_prefix()
    yield guarded(server.keys(prefix), server.operator(prefix))


@contextmanager
def aws_moto(_request: pytest.FixtureRequest) -> Iterator[Keys]:
    """Yield AWS KMS as moto plays it; what moto answers otherwise than KMS is plugged."""
    with kms_simulators.opened("moto") as kms:
        yield guarded(kms.keys, kms.operator)


@contextmanager
def aws_ministack(_request: pytest.FixtureRequest) -> Iterator[Keys]:
    """Yield AWS KMS as ministack plays it; what ministack lets through is plugged."""
    with kms_simulators.opened("ministack") as kms:
        yield guarded(kms.keys, kms.operator)


def guarded(provider: Provider, operator: Operator) -> Keys:
    """Return both sides of a provider behind the guard, as the program has them."""
    return Keys(
        GuardedKeyManager(provider, FakeClock(), limit_seconds=PATIENCE),
        GuardedKeyOperator(operator, FakeClock(), limit_seconds=PATIENCE),
    )


KEY_MANAGERS: Final[list[Callable[[pytest.FixtureRequest], AbstractContextManager[Keys]]]] = [
    memory,
    file,
    openbao_transit,
    aws_moto,
    aws_ministack,
]
