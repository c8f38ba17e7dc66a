"""A real S3 server for tests: SeaweedFS on this machine, over TLS, with Object Lock.

It is a program of its own, started once for a test run and ended with it.
"""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives import serialization

from fakes import FakeRandom
from ports import free_ports
from seawall.adapters.archive.s3 import S3Archive, connect_s3
from seawall.adapters.certificates import ensure_certificate
from seawall.adapters.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

ACCESS: Final = {"AWS_ACCESS_KEY_ID": "archivist", "AWS_SECRET_ACCESS_KEY": "not a secret"}
"""Credentials of the server's one user, as boto3 finds them in the environment."""

LOCKED: Final = "locked"
PLAIN: Final = "plain"
"""A bucket that was made with Object Lock, and one that was not."""

_PATIENCE: Final = 90.0
_DOORS: Final = ("master", "volume", "filer", "s3")
_NUMBERS: Final = count(1)


@dataclass(frozen=True)
class BucketServer:
    """A server that runs: where it is, and whose certificate it shows."""

    url: str
    authority: Path
    filer: str
    """The door to its files that knows of no lock."""

    def client(self, region: str = "us-east-1") -> Any:
        """Return a client as the program makes it, with this server's credentials."""
        boto3.setup_default_session(
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )
        return connect_s3(endpoint=self.url, region=region, authority=str(self.authority))

    def archive(
        self,
        name: str = "vault",
        wrap: Callable[[Any], Any] | None = None,
        bucket: str = LOCKED,
        prefix: str | None = None,
    ) -> S3Archive:
        """Return an archive, empty unless `prefix` is another's; `wrap` may stand before it."""
        client = self.client()
        spoken = wrap(client) if wrap else client
        within = new_prefix() if prefix is None else prefix
        return S3Archive(name, spoken, bucket=bucket, prefix=within, random=FakeRandom())


def new_prefix() -> str:
    """Return a prefix that no other archive of this run has."""
    return f"archive-{next(_NUMBERS)}"


@cache
def bucket_server() -> BucketServer:
    """Start the server, the first time; it ends with the test run."""
    folder = Path(tempfile.mkdtemp(prefix="buckets-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = ensure_certificate(folder / "tls", "localhost", "password", SystemClock())
    key = serialization.load_pem_private_key(made.key.read_bytes(), b"password")
    (folder / "tls" / "s3.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    access = dict(zip(("accessKey", "secretKey"), ACCESS.values(), strict=True))
    identity = {"name": "archivist", "credentials": [access], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="ascii")
    (folder / "files").mkdir()
    ports = free_ports(2 * len(_DOORS))
    doors = dict(zip(_DOORS, zip(ports[::2], ports[1::2], strict=True), strict=True))
    process = subprocess.Popen(  # noqa: S603  a program of a package that we depend on
        [
            str(Path(sys.executable).parent / "weed"),
            "server",
            f"-dir={folder / 'files'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=50",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            f"-s3.localSocket={folder / 's3.sock'}",
            f"-s3.config={folder / 's3.json'}",
            f"-s3.cert.file={made.certificate}",
            f"-s3.key.file={folder / 'tls' / 's3.key'}",
            f"-filer.localSocket={folder / 'filer.sock'}",
            *(f"-{door}.port={http}" for door, (http, _) in doors.items()),
            *(f"-{door}.port.grpc={grpc}" for door, (_, grpc) in doors.items()),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    atexit.register(_end, process, ports)
    server = BucketServer(
        f"https://localhost:{doors['s3'][0]}",
        made.authority,
        f"http://127.0.0.1:{doors['filer'][0]}",
    )
    _await(server, process)
    return server


def _await(server: BucketServer, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    client = server.client()
    while True:
        try:
            client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
            client.create_bucket(Bucket=PLAIN)
        except (BotoCoreError, ClientError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the S3 server does not start") from None
            time.sleep(0.2)
        else:
            client.close()
            return


def _end(process: subprocess.Popen[bytes], ports: list[int]) -> None:
    process.kill()
    process.wait()
    for port in ports:  # the program leaves sockets there, named by its ports
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            left.unlink()
