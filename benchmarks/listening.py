"""What the servers of this package have in common: their command line, TLS, the announced port."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import KEY_PASSWORD
from seawall.tls import server_context

if TYPE_CHECKING:
    import socket
    import ssl


def arguments() -> argparse.Namespace:
    """Read certificate, key, authority and upstream from the command line."""
    parser = argparse.ArgumentParser(description="A server of the benchmarks.", allow_abbrev=False)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--authority", type=Path)
    parser.add_argument("--upstream")
    return parser.parse_args()


def tls(given: argparse.Namespace) -> ssl.SSLContext:
    """Return the TLS context of Seawall's own listener, over the same certificate."""
    return server_context(given.certificate, given.key, os.environ[KEY_PASSWORD])


def announce(listener: socket.socket) -> None:
    """Print the port on one line."""
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
