"""Whatever AWS KMS answers, or does not, comes out as an error of ours that shows nothing."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest

from kms_simulators import OPERATOR, Before, credentials, error_of, opened, refusal, running
from seawall.adapters.certificates import ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.aws import AwsKeys, AwsOperator, connect_kms
from seawall.app.ports import Secret
from seawall.core.errors import Error, Invalid, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME: Final = "tenant/clinic"
SECRET: Final = b"thirty-two bytes of a tenant key"
SPOKEN: Final = "arn:aws:kms:us-east-1:123456789012:key/SPOKEN-BY-AWS"
UNAVAILABLE: Final = (Unavailable, "key-manager-unavailable")
FORBIDDEN: Final = (Refused, "key-manager-refused")


class Answering(ThreadingHTTPServer):
    """A server that answers everything alike, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.body = b""
        self.asked: list[bytes] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, status: int, body: bytes) -> None:
        """Answer like this from now on, and forget what was asked."""
        self.status, self.body, self.asked = status, body, []


class Handler(BaseHTTPRequestHandler):
    """Answers as its server says."""

    server: Answering

    def do_POST(self) -> None:
        """Answer."""
        self.server.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    """Run the server while the tests of this file last."""
    with Answering() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def keys(server: Answering) -> Iterator[AwsKeys]:
    """Yield the key manager at the server."""
    with speaking(server.url) as made:
        yield made


@contextmanager
def speaking(url: str, **settings: Any) -> Iterator[AwsKeys]:
    """Open the key manager at a URL."""
    with credentials():
        client = connect_kms(region="us-east-1", endpoint=url, **settings)
    try:
        yield AwsKeys(client, prefix="seawall")
    finally:
        client.close()


def refused_with(code: str) -> bytes:
    """Return the body of an error of AWS, with a text that nobody may see."""
    return json.dumps({"__type": code, "message": SPOKEN}).encode()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "DisabledException", (Refused, "root-key-disabled")),
        (400, "KMSInvalidStateException", (Refused, "root-key-disabled")),
        (400, "NotFoundException", (Missing, "root-key-missing")),
        (400, "InvalidCiphertextException", (Tampered, "wrapped-key-tampered")),
        (400, "IncorrectKeyException", (Tampered, "wrapped-key-tampered")),
        (400, "AccessDeniedException", FORBIDDEN),
        (400, "ExpiredTokenException", FORBIDDEN),
        (400, "UnrecognizedClientException", FORBIDDEN),
        (403, "SomethingOfNextYear", FORBIDDEN),
        (400, "ThrottlingException", UNAVAILABLE),
        (400, "LimitExceededException", UNAVAILABLE),
        (400, "KeyUnavailableException", UNAVAILABLE),
        (500, "KMSInternalException", UNAVAILABLE),
        (500, "DependencyTimeoutException", UNAVAILABLE),
        (503, "ServiceUnavailable", UNAVAILABLE),
        (400, "ValidationException", UNAVAILABLE),
        (400, "SomethingOfNextYear", UNAVAILABLE),
    ],
)
def test_errors_of_aws_become_ours(
    server: Answering, keys: AwsKeys, status: int, code: str, expected: tuple[type[Error], str]
) -> None:
    """Each by its code; what is not known is a key manager that fails, and never a result."""
    server.answer(status, refused_with(code))
    assert expected == error_of(lambda: keys.unwrap(NAME, Secret(1, b"blob"), "a"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"KeyMetadata": {}}',
        b'{"KeyMetadata": {"KeyId": 1, "KeyState": []}}',
        b'{"KeyMetadata": {"KeyId": "a", "Arn": "b", "KeyState": "PendingDeletion"}}',
        b'{"KeyMetadata": {"KeyId": "a", "Arn": "b", "KeyState": "Enabled", "CreationDate": "x"}}',
        b'{"Aliases": [{}], "Truncated": false}',
        b'{"Aliases": [{"AliasName": 1}], "Truncated": false}',
        b'{"Aliases": [], "Truncated": true}',
    ],
)
def test_answers_that_nobody_understands_are_no_answers(
    server: Answering, keys: AwsKeys, body: bytes
) -> None:
    """Neither what lacks something nor what is something else is taken for a result."""
    server.answer(200, body)
    assert UNAVAILABLE == error_of(lambda: keys.unwrap(NAME, Secret(1, b"blob"), "a"))
    assert UNAVAILABLE == error_of(lambda: keys.wrap(NAME, SECRET, "a"))


def test_a_busy_server_is_asked_twice_and_no_more(server: Answering, keys: AwsKeys) -> None:
    """Few retries: who waits for a key waits for all of them."""
    server.answer(500, refused_with("KMSInternalException"))
    assert UNAVAILABLE == error_of(lambda: keys.versions(NAME))
    assert 2 == len(server.asked)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    """It takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with speaking(url, read_seconds=0.2) as keys:
            assert UNAVAILABLE == error_of(lambda: keys.versions(NAME))
        assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Nothing listens on its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with speaking(f"http://127.0.0.1:{port}") as keys:
        assert UNAVAILABLE == error_of(lambda: keys.wrap(NAME, SECRET, "a"))


def test_a_server_with_an_unknown_certificate_is_not_spoken_to(
    server: Answering, tmp_path: Path
) -> None:
    """Only who shows a certificate of the given authority is; a plain server shows none."""
    authority = ensure_certificate(tmp_path, "localhost", "password", SystemClock()).authority
    server.answer(200, b"{}")
    with speaking(server.url.replace("http:", "https:"), authority=str(authority)) as keys:
        assert UNAVAILABLE == error_of(lambda: keys.versions(NAME))
    assert [] == server.asked


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://kms.example.org",
        "http://127.0.0.1.example.org",
        "http://localhost@kms.example.org",
        "https://user:word@kms.example.org",
        "ftp://localhost",
        "kms.example.org",
        "https://",
        "http://[::1",
    ],
)
def test_an_endpoint_without_tls_is_refused(endpoint: str) -> None:
    """Unless it is on this very machine; nor one that is none, or that names a password."""
    expected = (Invalid, "wrong-setting")
    assert expected == error_of(lambda: connect_kms(region="us-east-1", endpoint=endpoint))


@pytest.mark.parametrize(
    "settings",
    [
        {"region": ""},
        {"region": "no region"},
        {"region": "us-east-1", "profile": "nobody"},
        {"region": "us-east-1", "authority": "/nowhere.pem"},
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_the_start(settings: dict[str, Any]) -> None:
    """A region, a profile and an authority that are none."""
    with credentials():
        assert (Invalid, "wrong-setting") == error_of(lambda: connect_kms(**settings))


def test_nothing_of_the_environment_says_where_kms_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no endpoint and no bundle of authorities."""
    with credentials():
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "AWS_ENDPOINT_URL_KMS"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
        client = connect_kms(region="us-east-1", endpoint=running("ministack").url)
        client.list_keys()
        client.close()
        elsewhere = connect_kms(region="eu-west-1")
        assert "https://kms.eu-west-1.amazonaws.com" == elsewhere.meta.endpoint_url
        elsewhere.close()


def test_without_credentials_it_says_that_they_are_refused(server: Answering) -> None:
    """What boto3 does not find, it cannot show."""
    server.answer(200, b"{}")
    with credentials("[default]\n"):
        client = connect_kms(region="us-east-1", endpoint=server.url)
        assert FORBIDDEN == error_of(lambda: AwsKeys(client, prefix="seawall").versions(NAME))
        client.close()
    assert [] == server.asked


@pytest.mark.parametrize("code", ["AccessDeniedException", "KMSInternalException"])
@pytest.mark.parametrize(
    "operation", ["list_aliases", "list_keys", "create_key", "create_alias", "describe_key"]
)
def test_an_operator_who_is_refused_is_told_so(operation: str, code: str) -> None:
    """At each step of making a version, and no version is said to be made."""

    class Refusing(Before):
        """KMS, which refuses one operation."""

        def __getattr__(self, name: str) -> Any:
            """Return the real operation, or one that refuses."""
            if name != operation:
                return getattr(self.real, name)

            def refusing(**_fields: Any) -> Any:
                """Refuse."""
                raise refusal(code, name, SPOKEN)

            return refusing

    with opened("ministack") as kms:
        kms.operator.make(NAME)
        client = Refusing(kms.simulator.client(OPERATOR))
        operator = AwsOperator(client, prefix=kms.prefix, clock=SystemClock())
        expected = FORBIDDEN if code == "AccessDeniedException" else UNAVAILABLE
        assert expected == error_of(lambda: operator.rotate(NAME))


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "Unheard"])
def test_no_error_shows_what_aws_said_or_what_was_wrapped(
    server: Answering, keys: AwsKeys, code: str
) -> None:
    """Neither in its words nor in a traceback that is printed, to whoever reads the log."""
    server.answer(400, refused_with(code))
    with pytest.raises(Error) as caught:
        keys.wrap(NAME, SECRET, "a")
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.help
    assert server.asked
    assert "SPOKEN" not in shown
    assert SECRET.decode() not in shown


def test_nothing_secret_is_in_what_is_printed_of_them() -> None:
    """Neither a credential nor what was wrapped."""
    with opened("ministack") as kms:
        kms.operator.make(NAME)
        wrapped = kms.keys.wrap(NAME, SECRET, "a")
        assert "<AwsKeys> <AwsOperator>" == f"{kms.keys!r} {kms.operator!r}"
        assert "Secret(version=1)" == repr(wrapped)


def test_credentials_of_tests_leave_the_environment_as_it_was() -> None:
    """So that no other test finds them."""
    before = dict(os.environ)
    with credentials():
        assert "AWS_SHARED_CREDENTIALS_FILE" in os.environ
    assert before == dict(os.environ)
