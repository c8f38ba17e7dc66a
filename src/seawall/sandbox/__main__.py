"""`python -m seawall.sandbox`: start the sandbox model.

The API key comes from the environment variable SEAWALL_SANDBOX_KEY and never
from the command line, which every process of the machine can read.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
from pathlib import Path
from typing import Final

from seawall.sandbox.server import serve, tls_context

API_KEY_VARIABLE: Final = "SEAWALL_SANDBOX_KEY"
SHORTEST_KEY: Final = 16

_USAGE_ERROR: Final = 2


def main() -> int:
    """Read the command line, serve, and return the exit status (2: it could not start)."""
    options = _parser().parse_args()
    api_key = os.environ.get(API_KEY_VARIABLE, "")
    if len(api_key) < SHORTEST_KEY or not api_key.isascii():
        return _cannot_start(
            f"{API_KEY_VARIABLE} must hold at least {SHORTEST_KEY} ASCII characters"
        )
    password = os.environ.get(options.key_password_env) if options.key_password_env else None
    try:
        tls = tls_context(options.cert, options.key, password)
    except ssl.SSLError:
        return _cannot_start("the certificate and key do not fit, or the key's password is wrong")
    except OSError:
        return _cannot_start("the certificate or the key cannot be read")
    try:
        serve(
            host=options.host,
            port=options.port,
            tls=tls,
            api_key=api_key,
            until_stdin_closes=options.until_stdin_closes,
        )
    except OSError:
        return _cannot_start("the address cannot be bound")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m seawall.sandbox",
        description="A deterministic, offline model in the OpenAI dialect.",
        epilog=f"The API key is read from {API_KEY_VARIABLE}.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--cert", type=Path, required=True, help="certificate chain, PEM")
    parser.add_argument("--key", type=Path, required=True, help="private key, PEM")
    parser.add_argument(
        "--key-password-env", metavar="NAME", help="environment variable with the key's password"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends"
    )
    return parser


def _cannot_start(reason: str) -> int:
    sys.stderr.write(f"the sandbox cannot start: {reason}\n")
    return _USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
