"""Two programs that answer as AWS KMS does, moto and ministack, and where they do not.

Each is a process of its own, started once for a test run and ended with it. A hole is
what a simulator lets through and KMS does not; `Plugged` stands before it in the tests
that need KMS's answer, and `test_kms_simulators` shows that each hole is still there.
"""

from __future__ import annotations

import atexit
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError

from ports import free_ports
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.aws import AwsKeys, AwsOperator, connect_kms
from seawall.core.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPERATOR: Final = "operator"
"""The operator's profile in the simulators' credentials file."""

SIMULATORS: Final = ("moto", "ministack")
_PATIENCE: Final = 60.0
_NUMBERS: Final = count(1)
_TAG_BYTES: Final = 32
_CREDENTIALS: Final = """\
[default]
aws_access_key_id = seawall
aws_secret_access_key = not a secret
[operator]
aws_access_key_id = operator
aws_secret_access_key = no secret either
"""
# The shell ends the program when its input ends, which is when this process does.
_TOGETHER: Final = '"$@" & read _; kill $!; wait'


@dataclass(frozen=True)
class Simulator:
    """A simulator that runs: which one, and where."""

    name: str
    url: str

    def client(self, profile: str = "") -> Any:
        """Return a client as the program makes it, with the credentials of a profile.

        It is made once, since that takes a while, and closed when the test run ends.
        """
        return _client(self.url, profile)

    def plugged(self, profile: str = "") -> Any:
        """Return a client whose holes are plugged."""
        plug = {"moto": PluggedMoto, "ministack": PluggedMinistack}[self.name]
        return plug(self.client(profile))


def new_prefix() -> str:
    """Return a prefix that nothing else of this run has."""
    return f"seawall-{next(_NUMBERS)}"


@dataclass(frozen=True)
class Kms:
    """The service's and the operator's way to a simulator, under a prefix of their own."""

    simulator: Simulator
    prefix: str
    client: Any
    """The plain client, by which a test looks at the simulator itself."""
    keys: AwsKeys
    operator: AwsOperator

    def alias(self, version: int, name: str = "tenant/clinic") -> str:
        """Return the alias of a version."""
        return f"alias/{self.prefix}/{name}/{version}"

    def metadata(self, version: int) -> Any:
        """Return what the simulator says of a version of the clinic's root key."""
        return self.client.describe_key(KeyId=self.alias(version))["KeyMetadata"]


@contextmanager
def opened(
    name: str, before: Callable[[Any], Any] = lambda client: client, prefix: str = ""
) -> Iterator[Kms]:
    """Open a simulator, plugged; `before` may stand before both clients."""
    simulator, prefix = running(name), prefix or new_prefix()
    keys = AwsKeys(before(simulator.plugged()), prefix=prefix)
    operator = AwsOperator(before(simulator.plugged(OPERATOR)), prefix=prefix, clock=SystemClock())
    client = simulator.client()
    yield Kms(simulator, prefix, client, keys, operator)


class Before:
    """A client that passes on what its subclasses do not answer themselves."""

    def __init__(self, client: Any) -> None:
        self.real = client

    def __getattr__(self, name: str) -> Any:
        """Return the real operation."""
        return getattr(self.real, name)


class PluggedMoto(Before):
    """Moto, but for a hole: for the wrong key it names no IncorrectKeyException.

    It says AccessDeniedException, as if the policy forbade it.
    """

    def decrypt(self, **fields: Any) -> Any:
        """Decrypt; say of a wrong key what KMS says."""
        try:
            return self.real.decrypt(**fields)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            raise refusal("IncorrectKeyException", "Decrypt") from None


class PluggedMinistack(Before):
    """Ministack, but for a hole: it opens what was changed, and under another key, to garbage.

    What it encrypts gets a tag here, over the key and the ciphertext, which is looked at
    before it decrypts.
    """

    def encrypt(self, **fields: Any) -> Any:
        """Encrypt, and add a tag."""
        answer = self.real.encrypt(**fields)
        blob = answer["CiphertextBlob"]
        return {**answer, "CiphertextBlob": blob + _tag(answer["KeyId"], blob)}

    def decrypt(self, **fields: Any) -> Any:
        """Look at the tag, then decrypt."""
        whole = fields["CiphertextBlob"]
        blob, tag = whole[:-_TAG_BYTES], whole[-_TAG_BYTES:]
        arn = self.real.describe_key(KeyId=fields["KeyId"])["KeyMetadata"]["Arn"]
        if not hmac.compare_digest(tag, _tag(arn, blob)):
            raise refusal("InvalidCiphertextException", "Decrypt")
        return self.real.decrypt(**fields | {"CiphertextBlob": blob})


def error_of(work: Callable[[], Any]) -> tuple[type[Error], str]:
    """Return the error in which work ends, by its kind and its code."""
    with pytest.raises(Error) as caught:
        work()
    return type(caught.value), caught.value.code


def refusal(code: str, operation: str, text: str = "") -> ClientError:
    """Return an error as boto3 raises it."""
    answer = {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(answer, operation)  # type: ignore[no-untyped-call,unused-ignore]


@cache
def _client(url: str, profile: str) -> Any:
    with credentials():
        client = connect_kms(region="us-east-1", endpoint=url, profile=profile)
    atexit.register(client.close)
    return client


def _tag(arn: str, blob: bytes) -> bytes:
    return hmac.digest(arn.encode(), blob, hashlib.sha256)


@cache
def running(name: str) -> Simulator:
    """Start a simulator, the first time; it ends with the test run."""
    (port,) = free_ports(1)
    programs = {
        "moto": ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        "ministack": ["-m", "ministack"],
    }
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SERVICES": "kms",
        "SFTP_ENABLED": "0",
    }
    folder = Path(tempfile.mkdtemp(prefix="kms-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    process = subprocess.Popen(  # noqa: S603  programs of packages that we depend on
        ["/bin/sh", "-c", _TOGETHER, "sh", sys.executable, *programs[name]],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, **settings, "TMPDIR": str(folder)},
    )
    atexit.register(_end, process)
    simulator = Simulator(name, f"http://127.0.0.1:{port}")
    _await(port, process)
    return simulator


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the KMS simulator does not start") from None
            time.sleep(0.1)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=10)


@contextmanager
def credentials(text: str = _CREDENTIALS) -> Iterator[None]:
    """Have boto3 find these credentials, and no others, while the context lasts."""
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with tempfile.TemporaryDirectory(prefix="kms-") as folder:
        file = Path(folder) / "credentials"
        file.write_text(text, "utf-8")
        for name in before:
            del os.environ[name]
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(file)
        os.environ["AWS_CONFIG_FILE"] = str(Path(folder) / "config")
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        try:
            yield
        finally:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(before)
