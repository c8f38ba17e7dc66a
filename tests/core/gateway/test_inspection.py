"""Looking at answers: what is new is flagged, masked or blocked, however it comes."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Refused
from seawall.core.gateway.given import Given
from seawall.core.gateway.inspection import AnswerFilter, Inspector
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seawall.core.registers.use_case import AnswerRule

FOUND: Final[dict[str, tuple[Label, Source]]] = {
    r"PT\d{1,9}": (Label.ID, "rule"),
    r"Quackenbush": (Label.NAME, "gazetteer"),
    r"Mayo Clinic": (Label.ORGANIZATION, "gazetteer"),
    r"Elm House": (Label.LOCATION, "known"),
    r"aged \d\d": (Label.AGE, "rule"),
    r"--": (Label.OTHER, "rule"),
}
SENT = "Patient Wilhelmina, PT55; lives in Boston"


def find(text: str) -> list[Span]:
    """Find the few identifiers of these tests."""
    found = [
        Span(match.start(), match.end(), label, source, 1.0)
        for pattern, (label, source) in FOUND.items()
        for match in re.finditer(pattern, text)
    ]
    return sorted(found, key=lambda span: span.start)


def inspector(sent: str = SENT) -> Inspector:
    """Return an inspector of answers to a request."""
    return Inspector(find, Given([sent], ()))


def passed(pieces: Iterable[str], rule: AnswerRule, looking: Inspector | None = None) -> str:
    """Return what goes out of an answer that comes in pieces."""
    checking = AnswerFilter(looking or inspector(), rule)
    return "".join([*[checking.feed(piece) for piece in pieces], checking.finish()])


def cut(text: str, places: Iterable[int]) -> list[str]:
    """Return a text in pieces, cut at places that may be beyond its end."""
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


NEW = ["PT9", "PT123456789", "Quackenbush", "Elm House"]
OTHER = ["PT55", "Mayo Clinic", "aged 91", "a", "[NAME-1]", "[", "follow-up", "x" * 30, "\n", "é😀"]
WORDS = st.sampled_from([*NEW, *OTHER])
ANSWERS = st.lists(WORDS, max_size=90).map(" ".join)
CUTS = st.lists(st.integers(0, 900), max_size=25)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT9 is new", ["PT9"]),
        ("PT55 was sent", []),
        ("pt 55 was sent in another spelling: PT55", []),
        ("Quackenbush is new", ["Quackenbush"]),
        ("Mayo Clinic is general knowledge", []),
        ("aged 91 is general knowledge", []),
        ("Elm House is this patient's", ["Elm House"]),
        ("-- is no content", []),
        ("", []),
    ],
)
def test_what_is_new(text: str, expected: list[str]) -> None:
    """New is what was not sent: any telling class, and every class of the patient's own."""
    assert expected == [text[span.start : span.end] for span in inspector().new(text)]


def test_known_identifier_that_was_sent_is_not_new() -> None:
    """The patient's own address in the request may be in the answer, in another spelling."""
    assert [] == inspector("She lives at ELM-HOUSE.").new("Elm House")


def test_counting_by_class() -> None:
    """What was found is counted by class, over all texts of an answer."""
    looking = inspector()
    passed(["PT1 and PT2"], "mask", looking)
    passed(["Quackenbush PT3"], "flag", looking)

    assert {"ID": 3, "NAME": 1} == looking.found


@given(ANSWERS, CUTS)
def test_mask_does_not_depend_on_cutting(text: str, places: list[int]) -> None:
    """However an answer is cut, the same is masked as in the whole text."""
    expected = re.sub(r"PT(?!55\b)\d+", "[ID removed]", text)
    expected = expected.replace("Quackenbush", "[NAME removed]")
    expected = expected.replace("Elm House", "[LOCATION removed]")

    assert expected == passed(cut(text, places), "mask")


@given(ANSWERS, CUTS, st.sampled_from(["mask", "flag"]))
def test_count_does_not_depend_on_cutting(text: str, places: list[int], rule: AnswerRule) -> None:
    """However an answer is cut, the same number of each class is counted."""
    whole, pieces = inspector(), inspector()
    whole.count(whole.new(text))
    passed(cut(text, places), rule, pieces)

    assert whole.found == pieces.found


@given(ANSWERS, CUTS)
def test_flag_lets_everything_pass_at_once(text: str, places: list[int]) -> None:
    """Under `flag` each piece goes out as it comes."""
    checking = AnswerFilter(inspector(), "flag")
    pieces = cut(text, places)

    assert pieces == [checking.feed(piece) for piece in pieces]
    assert checking.finish() == ""


@given(ANSWERS, CUTS)
def test_block_lets_no_new_identifier_pass(text: str, places: list[int]) -> None:
    """Under `block` an answer passes unchanged if nothing is new, and else is refused before."""
    looking = inspector()
    checking = AnswerFilter(looking, "block")
    released: list[str] = []
    try:
        released.extend(checking.feed(piece) for piece in cut(text, places))
        released.append(checking.finish())
        blocked = False
    except Refused:
        blocked = True

    assert blocked == bool(inspector().new(text)) == bool(looking.found)
    assert [] == inspector().new("".join(released))
    assert blocked or text == "".join(released)


def test_blocked_answer_says_nothing_of_it() -> None:
    """The refusal of an answer has a code and a help, and nothing of the answer."""
    with pytest.raises(Refused) as caught:
        passed(["This is Quackenbush"], "block")

    assert caught.value.code == "answer-blocked"
    assert caught.value.help
    assert "Quackenbush" not in repr(caught.value.args)


def test_text_goes_out_while_it_comes() -> None:
    """A long harmless answer is not held to its end."""
    checking = AnswerFilter(inspector(), "mask")

    assert "word " * 20 == checking.feed("word " * 40)[:100]


def test_a_bracket_that_is_open_waits() -> None:
    """What may become a placeholder is not cut, so that restoring sees it whole."""
    checking = AnswerFilter(inspector(), "mask")
    released = checking.feed("word " * 30 + "[DATE-2 = " + "x " * 60)

    assert released == "word " * 30


@pytest.mark.parametrize("before", range(3_990, 4_030, 3))
def test_identifier_in_a_text_without_words_is_masked_whole(before: int) -> None:
    """Also where a text without any blank has to be cut, no identifier is cut."""
    first, second = "x" * before + "PT123456789" + "y" * 90, "y" * 500
    out = passed([first, second], "mask")

    assert "x" * before + "[ID removed]" + "y" * 590 == out


def test_text_without_words_is_not_held_for_ever() -> None:
    """A text without any blank goes out once it is over the limit."""
    checking = AnswerFilter(inspector(), "mask")

    assert checking.feed("x" * 4_000) == ""
    assert checking.feed("x" * 200) == "x" * (4_200 - 96)


def test_name_that_a_later_word_makes_longer_is_masked_whole() -> None:
    """A find that reaches back into what was released masks what has not gone yet."""

    def find_pairs(text: str) -> list[Span]:
        matches = re.finditer(r"Ann(?: Lee)?|Lee(?= nurse)", text)
        return [Span(m.start(), m.end(), Label.NAME, "rule", 1.0) for m in matches]

    checking = AnswerFilter(Inspector(find_pairs, Given((), ())), "mask")
    out = checking.feed("word " * 40 + "Ann") + checking.feed(" Lee nurse") + checking.finish()

    assert out == "word " * 40 + "[NAME removed] nurse"
