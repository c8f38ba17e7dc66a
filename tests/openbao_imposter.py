"""Something else where OpenBao should be, that answers as a test says."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JSON: Final = {"Content-Type": "application/json"}


@contextmanager
def imposter(
    status: int,
    body: bytes,
    headers: Mapping[str, str] = JSON,
    *,
    slow: float = 0.0,
    others: Mapping[str, tuple[int, bytes]] | None = None,
) -> Iterator[str]:
    """Yield the URL of a server that answers so, one byte each `slow` seconds if that is set.

    Requests whose method and path, such as `POST /v1/transit/keys/a/trim`, begin as one of
    `others` says get that answer instead; the first that fits.
    """

    class Answering(BaseHTTPRequestHandler):
        """Answers whatever is asked."""

        def answer(self) -> None:
            """Read the request, then give the answer."""
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = f"{self.command} {self.path}"
            fitting = [each for begin, each in (others or {}).items() if asked.startswith(begin)]
            says, content = (*fitting, (status, body))[0]
            self.send_response(says)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                for at in range(0, len(content), 1 if slow else len(content) or 1):
                    self.wfile.write(content[at : at + (1 if slow else len(content))])
                    time.sleep(slow)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = answer  # noqa: N815  names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
