"""Where an identifier stands in a text, and which of two overlapping finds wins."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seawall.core.phi.identifiers import Label

Source = Literal["known", "rule", "gazetteer"]

_RANK: dict[Source, int] = {"known": 2, "rule": 1, "gazetteer": 0}


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is an identifier; offsets are code points of the original text."""

    start: int
    end: int
    label: Label
    source: Source
    score: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise RuntimeError("a span holds at least one character")


def is_inside(ordered: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Say whether one of some ranges, in order and without overlap, holds `start` to `end`."""
    at = bisect_right(ordered, start, key=_start_of) - 1
    return at >= 0 and end <= ordered[at][1]


def _start_of(pair: tuple[int, int]) -> int:
    return pair[0]


def resolve(spans: Iterable[Span]) -> list[Span]:
    """Return non-overlapping spans, in order, that cover every character of the input spans.

    Where spans overlap, their union becomes one span, because a character that
    any finder called an identifier must not leave; the label is that of the
    most certain finder (known before rule before gazetteer), then of the
    longest, then of the higher score, then of the earliest.
    """
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    resolved: list[Span] = []
    group: list[Span] = []
    end = 0
    for span in ordered:
        if group and span.start >= end:
            resolved.append(_union(group))
            group = []
        end = max(end, span.end) if group else span.end
        group.append(span)
    if group:
        resolved.append(_union(group))
    return resolved


def _union(group: list[Span]) -> Span:
    best = max(
        group,
        key=lambda span: (_RANK[span.source], span.end - span.start, span.score, -span.start),
    )
    return Span(
        start=min(span.start for span in group),
        end=max(span.end for span in group),
        label=best.label,
        source=best.source,
        score=best.score,
    )
