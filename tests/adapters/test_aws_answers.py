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

from kms_simulators import OPERATOR, Before, credentials, opened, refusal, running
from seawall.adapters.certificates import ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.aws import AwsKeys, AwsOperator, connect_kms
from seawall.app.ports import Secret
from seawall.core.errors import Error, Invalid, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME: Final = "tenant/clinic"
SECRET: Final = b"thirty-two bytes of a tenant key"
SPOKEN: Final = "arn:aws:kms:us-east-1:123456789012:key/SPOKEN-BY-AWS"
UNAVAILABLE: Final = (Unavailable, "key-manager-unavailable")
FORBIDDEN: Final = (Refused, "key-manager-refused")


def kind(work: Callable[[], Any]) -> tuple[type[Error], str]:
    """Return the error in which work ends."""
    with pytest.raises(Error) as caught:
        work()
    return type(caught.value), caught.value.code


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[Any]]]:
    """Run a server that answers everything alike; yield its URL and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        """Answers everything alike."""

        def do_POST(self) -> None:
            """Answer."""
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def speaking(url: str, **settings: Any) -> Iterator[AwsKeys]:
    """Open the key manager at a URL."""
    with credentials():
        client = connect_kms(region="us-east-1", endpoint=url, **settings)
    keys = AwsKeys(client, prefix="seawall")
    try:
        yield keys
    finally:
        keys.close()


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
    status: int, code: str, expected: tuple[type[Error], str]
) -> None:
    """Each by its code; what is not known is a key manager that fails, and never a result."""
    with answering(status, refused_with(code)) as (url, _), speaking(url) as keys:
        assert expected == kind(lambda: keys.unwrap(NAME, Secret(1, b"blob"), "a"))


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
def test_answers_that_nobody_understands_are_no_answers(body: bytes) -> None:
    """Neither what lacks something nor what is something else is taken for a result."""
    with answering(200, body) as (url, _), speaking(url) as keys:
        with pytest.raises(Error) as wrapping:
            keys.wrap(NAME, SECRET, "a")
        assert UNAVAILABLE == kind(lambda: keys.unwrap(NAME, Secret(1, b"blob"), "a"))
        # An empty listing is well said: then there is no such key.
        assert wrapping.value.code in {"key-manager-unavailable", "root-key-missing"}


def test_a_busy_server_is_asked_twice_and_no_more() -> None:
    """Few retries: who waits for a key waits for all of them."""
    with answering(500, refused_with("KMSInternalException")) as (url, asked):
        with speaking(url) as keys:
            assert UNAVAILABLE == kind(lambda: keys.versions(NAME))
        assert 2 == len(asked)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    """It takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with speaking(url, read_seconds=0.2) as keys:
            assert UNAVAILABLE == kind(lambda: keys.versions(NAME))
        assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Nothing listens on its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with speaking(f"http://127.0.0.1:{port}") as keys:
        assert UNAVAILABLE == kind(lambda: keys.wrap(NAME, SECRET, "a"))


def test_a_server_with_an_unknown_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    """Only who shows a certificate of the given authority is; a plain server shows none."""
    authority = ensure_certificate(tmp_path, "localhost", "password", SystemClock()).authority
    with answering(200, b"{}") as (url, asked):
        tls = url.replace("http:", "https:")
        with speaking(tls, authority=str(authority)) as keys:
            assert UNAVAILABLE == kind(lambda: keys.versions(NAME))
    assert [] == asked


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
    assert expected == kind(lambda: connect_kms(region="us-east-1", endpoint=endpoint))


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
        assert (Invalid, "wrong-setting") == kind(lambda: connect_kms(**settings))


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


def test_without_credentials_it_says_that_they_are_refused() -> None:
    """What boto3 does not find, it cannot show."""
    with credentials("[default]\n"), answering(200, b"{}") as (url, asked):
        client = connect_kms(region="us-east-1", endpoint=url)
        assert FORBIDDEN == kind(lambda: AwsKeys(client, prefix="seawall").versions(NAME))
        client.close()
    assert [] == asked


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
        assert expected == kind(lambda: operator.rotate(NAME))


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "Unheard"])
def test_no_error_shows_what_aws_said_or_what_was_wrapped(code: str) -> None:
    """Neither in its words nor in a traceback that is printed, to whoever reads the log."""
    with answering(400, refused_with(code)) as (url, _), speaking(url) as keys:
        with pytest.raises(Error) as caught:
            keys.wrap(NAME, SECRET, "a")
        shown = "".join(traceback.format_exception(caught.value)) + caught.value.help
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
