"""A real witness over TLS: the statuses of C2SP tlog-witness, its memory, its limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from cosigners import SeededLog
from seawall.core.ledger.cosignature import cosignatures, parse_cosigner
from seawall.core.ledger.note import Note, SignatureLine, encode_base64, read_lines, read_note
from seawall.core.ledger.witness import origin_hash, write_submission
from seawall.http.witness import MAX_SUBMISSION_BYTES
from witnesses import Running, witnessing

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "witness.yaml").read_text("utf-8"))
ORIGIN: Final = "ledger.example/log/42"
LOG = SeededLog(ORIGIN)
FUTURE: Final = 2**40


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve one witness on a thread while the tests of this file last; it trusts many logs."""
    begun: list[Running] = []
    ready, stopping = threading.Event(), threading.Event()
    folder = tmp_path_factory.mktemp("witness") / "w1"

    async def serve() -> None:
        """Serve until told to stop."""
        async with witnessing(folder, "localhost/w1", LOG.vkey) as running:
            begun.append(running)
            ready.set()
            await asyncio.to_thread(stopping.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield begun[0]
    finally:
        stopping.set()
        thread.join(60)


@pytest.fixture
def log(serving: Running, request: pytest.FixtureRequest) -> SeededLog:
    """Return a log of this test's own that the witness trusts."""
    made = SeededLog(f"ledger.example/{abs(hash(request.node.name)):x}")
    serving.book.trust(made.vkey, made.origin)
    return made


def submit(witness: Running, log: SeededLog, old: int, size: int) -> Any:
    """Submit a log's checkpoint as it should be."""
    body = write_submission(old, log.proof(old, size), log.checkpoint(size))
    return witness.send("POST", "/add-checkpoint", body.encode())


def bad(line: SignatureLine) -> SignatureLine:
    """Return the line with a changed signature."""
    changed = bytes([line.signature[0] ^ 1]) + line.signature[1:]
    return SignatureLine(line.name, line.key_id, changed)


def noted(case: dict[str, Any], log: SeededLog) -> str:
    """Return the checkpoint that a case submits."""
    root = bytes(32) if case.get("root") == "wrong" else None
    right = read_note(log.checkpoint(case["size"], root))
    stranger = SeededLog("stranger.example/log")
    strange = stranger.private.sign(right.text.encode())
    line = SignatureLine(stranger.origin, b"\0\1\2\3", strange)
    other = read_note(SeededLog(log.origin, "another key").checkpoint(case["size"], root)).lines
    lines = {
        "log": right.lines,
        "stranger": (line,),
        "other key": other,
        "both": (line, *right.lines),
        "changed": (bad(right.lines[0]),),
        "good and changed": (right.lines[0], bad(right.lines[0])),
    }[case.get("signed", "log")]
    return str(Note(right.text, lines))


def submission(case: dict[str, Any], log: SeededLog) -> bytes:
    """Return the body of a case's request."""
    if "raw" in case:
        raw: str | bytes = case["raw"]
        return raw if isinstance(raw, bytes) else raw.encode()
    if "fork" in case:
        log = SeededLog(log.origin, log.origin, fork=case["fork"])
    note = noted(case, log)
    if "head" in case:
        return f"{case['head']}\n\n{note}".encode()
    old, size = case["old"], case["size"]
    right = log.proof(old, size) if 0 < old <= size else []
    proof = {
        "right": right,
        "none": [],
        "short": right[:-1],
        "long": [*right, bytes(32)],
        "wrong": [bytes(32), *right[1:]],
        "sixty-four": [bytes(32)] * 64,
    }[case.get("proof", "right")]
    return write_submission(old, proof, note).encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_submission_gets_the_status_of_the_protocol(
    case: dict[str, Any], serving: Running, log: SeededLog
) -> None:
    """Each MUST of add-checkpoint: the status, the size that a 409 tells, what is remembered."""
    if "latest" in case:
        assert 200 == submit(serving, log, 0, case["latest"]).status
    asked = SeededLog(case["origin"]) if "origin" in case else log

    answer = serving.send("POST", "/add-checkpoint", submission(case, asked))

    assert case["status"] == answer.status, answer.body
    if "told" in case:
        assert ("text/x.tlog.size", f"{case['told']}\n") == (answer.content_type, answer.body)
    latest = asyncio.run(serving.book.latest(asked.origin))
    assert case.get("kept") == (None if latest is None else latest.size)


def test_a_witness_answers_with_both_of_its_cosignatures(serving: Running, log: SeededLog) -> None:
    """The lines are the witness's own, Ed25519 and ML-DSA-44, over the submitted checkpoint."""
    answer = submit(serving, log, 0, 5)
    note = Note(read_note(log.checkpoint(5)).text, read_lines(answer.body))
    keys = [parse_cosigner(vkey) for vkey in serving.vkeys]

    found = cosignatures(note, keys, now=FUTURE)

    assert [4, 6] == [each.key.algorithm for each in found]
    assert 2 == len(note.lines) == len({key.public_key for key in keys})


def test_monitors_get_the_latest_checkpoint(serving: Running, log: SeededLog) -> None:
    """A monitor gets the log's signature and the cosignatures that the log got, and no others."""
    stranger = SignatureLine("stranger.example", b"\0\1\2\3", b"anything")
    note = read_note(log.checkpoint(5))
    sent = write_submission(0, [], str(Note(note.text, (stranger, *note.lines))))
    lines = serving.send("POST", "/add-checkpoint", sent.encode()).body

    answer = serving.send("GET", f"/{origin_hash(log.origin)}/checkpoint")

    assert (200, log.checkpoint(5) + lines) == (answer.status, answer.body)


def test_monitors_get_404_before_the_first_checkpoint(serving: Running, log: SeededLog) -> None:
    """A log that was never cosigned has no checkpoint here, nor has anything else."""
    assert 404 == serving.send("GET", f"/{origin_hash(log.origin)}/checkpoint").status
    assert 404 == serving.send("GET", "/whatever/checkpoint").status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/add-checkpoint"),
        ("POST", "/sign-subtree"),
        ("GET", "/"),
        ("PUT", "/x/checkpoint"),
        ("POST", "/add-checkpoint/"),
    ],
)
def test_what_is_not_offered_is_404(serving: Running, method: str, path: str) -> None:
    """Other paths and methods do not exist; sign-subtree is optional, and not offered."""
    assert 404 == serving.send(method, path, b"x").status


def test_a_process_that_runs_says_so(serving: Running) -> None:
    """Whoever watches the witness has something to ask."""
    assert 200 == serving.send("GET", "/healthz").status


def test_a_body_over_the_limit_is_refused(serving: Running) -> None:
    """A body that no submission can have is refused unread."""
    answer = serving.send("POST", "/add-checkpoint", b"x" * (MAX_SUBMISSION_BYTES + 1))

    assert 413 == answer.status


def test_sixteen_long_signatures_are_accepted(serving: Running, log: SeededLog) -> None:
    """A note with sixteen post-quantum signatures of others is read: signed-note, "Format"."""
    note = read_note(log.checkpoint(5))
    others = tuple(SignatureLine(f"w{n}", b"\0\1\2\3", bytes(5_000)) for n in range(16))
    sent = write_submission(0, [], str(Note(note.text, (*others, *note.lines))))

    assert 200 == serving.send("POST", "/add-checkpoint", sent.encode()).status


def test_there_is_no_way_in_without_tls(serving: Running) -> None:
    """A request in plain text gets nothing."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"ok" not in plain.recv(100)


def test_two_requests_at_once_never_roll_back(serving: Running, log: SeededLog) -> None:
    """The race of tlog-witness: of two growths from one size, the second is told the first."""
    assert 200 == submit(serving, log, 0, 5).status
    answers: list[tuple[int, Any]] = []
    barrier = threading.Barrier(8)

    def race(size: int) -> None:
        """Submit a growth as all others do."""
        barrier.wait()
        answers.append((size, submit(serving, log, 5, size)))

    threads = [threading.Thread(target=race, args=(size,)) for size in range(10, 90, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    won = [size for size, answer in answers if answer.status == 200]
    latest = asyncio.run(serving.book.latest(log.origin))
    assert latest is not None
    assert [latest.size] == won
    assert {(409, f"{won[0]}\n")} == {
        (answer.status, answer.body) for size, answer in answers if size != won[0]
    }


def test_errors_tell_a_code_and_no_value(serving: Running) -> None:
    """A refusal is one line that names what is wrong and quotes nothing."""
    raw = b"old 0\n\nsecret\n\n\xe2\x80\x94 secret " + encode_base64(bytes(9)).encode() + b"\n"

    answer = serving.send("POST", "/add-checkpoint", raw)

    assert "[witness-request-malformed]\n" == answer.body[-len("[witness-request-malformed]\n") :]
    assert "secret" not in answer.body
