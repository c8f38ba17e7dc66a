"""Answers in the dialect's shapes: a completion object, or a stream of chunks.

Everything that varies is drawn from the digest of the request: equal requests
give equal bytes, and different requests are cut differently.
"""

from __future__ import annotations

import re
from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.sandbox.dialect import MODEL, RELEASED_AT, ChatRequest
from seawall.sandbox.skills import Answer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PIECE: Final = 7
"""Characters of text in one chunk, at most: shorter than any placeholder, so each one is cut."""

LONGEST_WRITE: Final = 400
"""Bytes in one network write of a stream, at most."""

DONE: Final = b"data: [DONE]\n\n"
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")

Json = dict[str, Any]


def completion(request: ChatRequest) -> bytes:
    """Return the whole answer as one `chat.completion` object."""
    answers = _answers(request)
    body = {
        "id": _id("chatcmpl", request.digest, 0),
        "object": "chat.completion",
        "created": RELEASED_AT,
        "model": MODEL,
        "choices": [_choice(request, i, given) for i, given in enumerate(answers)],
        "usage": _usage(request, answers),
        "system_fingerprint": None,
    }
    return orjson.dumps(body)


def events(request: ChatRequest) -> list[bytes]:
    """Return the same answer as server-sent events: `chat.completion.chunk` objects, then [DONE].

    The choices of one request take turns, as a real model's do.
    """
    answers = _answers(request)
    columns = [_deltas(request, i, given) for i, given in enumerate(answers)]
    chunks = [
        _chunk(request, [choice])
        for row in zip_longest(*columns)
        for choice in row
        if choice is not None
    ]
    if request.include_usage:
        chunks.append({**_chunk(request, []), "usage": _usage(request, answers)})
    return [*(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks), DONE]


def uneven_writes(stream: bytes, digest: bytes) -> Iterator[bytes]:
    """Cut a stream into network writes that heed no border.

    They end inside words, inside events, and after the first byte of every
    character that takes several bytes in UTF-8.
    """
    borders = set(accumulate(_lengths(digest, LONGEST_WRITE, len(stream))))
    borders.update(i + 1 for i, byte in enumerate(stream) if byte >= 0xC0)  # noqa: PLR2004  UTF-8's lead bytes start here
    start = 0
    for border in sorted(b for b in borders if b < len(stream)):
        yield stream[start:border]
        start = border
    yield stream[start:]


def pieces(text: str, digest: bytes) -> list[str]:
    """Cut text into pieces of 1 to 7 characters, inside words and inside placeholders."""
    ends = list(accumulate(_lengths(digest, LONGEST_PIECE, len(text))))
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _lengths(digest: bytes, longest: int, total: int) -> Iterator[int]:
    """Yield uneven lengths of 1 to `longest` until they cover `total`."""
    position = 0
    while total > 0:
        byte = digest[position % len(digest)] + position // len(digest)
        length = 1 + (byte * 131) % longest
        yield length
        total -= length
        position += 1


def _answers(request: ChatRequest) -> list[Answer]:
    """Return one answer per choice; free text says which alternative it is."""
    given = answer(request)
    plain = request.response_format == "text" and "echo" not in request.switches
    return [
        Answer(f"{given.text}\n\n(Alternative {i + 1}.)") if i and plain and given.text else given
        for i in range(request.choices)
    ]


def _choice(request: ChatRequest, index: int, given: Answer) -> Json:
    message: Json = {"role": "assistant", "content": given.text, "refusal": None}
    if given.tool:
        function = {"name": given.tool, "arguments": given.arguments}
        call = {"id": _id("call", request.digest, index), "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": given.finish_reason,
    }


def _deltas(request: ChatRequest, index: int, given: Answer) -> list[Json]:
    """Return the choice's chunks: the role, the pieces, and why it ends."""
    if given.tool:
        deltas = _call_deltas(request, index, given)
    else:
        content = [{"content": piece} for piece in pieces(given.text, request.digest)]
        deltas = [{"role": "assistant", "content": ""}, *content]
    running = [_streamed(index, delta, None) for delta in deltas]
    return [*running, _streamed(index, {}, given.finish_reason)]


def _call_deltas(request: ChatRequest, index: int, given: Answer) -> list[Json]:
    """Return a tool call whose arguments arrive in fragments."""
    opening = {
        "index": 0,
        "id": _id("call", request.digest, index),
        "type": "function",
        "function": {"name": given.tool, "arguments": ""},
    }
    fragments = [
        {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        for piece in pieces(given.arguments, request.digest)
    ]
    return [{"role": "assistant", "content": None, "tool_calls": [opening]}, *fragments]


def _streamed(index: int, delta: Json, finish_reason: str | None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _chunk(request: ChatRequest, choices: list[Json]) -> Json:
    chunk: Json = {
        "id": _id("chatcmpl", request.digest, 0),
        "object": "chat.completion.chunk",
        "created": RELEASED_AT,
        "model": MODEL,
        "choices": choices,
    }
    return chunk | {"usage": None} if request.include_usage else chunk


def _usage(request: ChatRequest, answers: list[Answer]) -> dict[str, int]:
    """Count words and marks; a real model would count its own tokens."""
    prompt = sum(_tokens(message.text) for message in request.messages)
    completed = sum(_tokens(given.text + given.arguments) for given in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completed,
        "total_tokens": prompt + completed,
    }


def _tokens(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))


def _id(kind: str, digest: bytes, index: int) -> str:
    return f"{kind}-{digest[:12].hex()}" + (f"-{index}" if index else "")
