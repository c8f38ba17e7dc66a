"""Which passwords are taken: long enough, not common, not the person's own name.

NIST SP 800-63B, section 3.1.1.2: no rule about kinds of characters, no change without
a reason. Each is used with a second factor, so twelve characters are enough.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final

from seawall.core.errors import Invalid
from seawall.core.identity.common_passwords import MOST_USED, MOST_USED_DIGITS

SHORTEST: Final = 12
LONGEST: Final = 128
_FEW: Final = 2
"""Of so few different characters, such as aaaa and abab, nothing is a password."""
_SHORTEST_NAME: Final = 4
"""So short a word of a name may be part of a password by chance."""

_WORDS: Final = """
    abc abcabc abcd abcdef abcdefg abcdefgh abcdefghi abcdefghij abcdefghijk abcdefghijkl access
    admin adminadmin administrator america angel april asdf asdfasdf asdfgh asdfghjk asdfghjkl
    august autumn azerty azertyuiop bailey baseball basketball batman boston bubbles buster
    changeit changeme changemenow changemeplease charlie cheese chelsea chicago chocolate clinic
    computer correcthorsebatterystaple dallas daniel december default defaultpassword doctor
    dragon epic example family february flower flowers football footballfootball freedom friday
    friends george ginger google guest hannah harley health healthcare hello hellohello
    helloworld hockey hospital houston hunter iloveu iloveyou iloveyouforever iloveyousomuch
    internet january jennifer jessica jesus jordan joshua july june killer letmein
    letmeinletmein letmeinnow letmeinplease liverpool login logmein love lovelove loveme maggie
    manager march master matrix matthew medical medicine mercedes merlin michael michelle monday
    monkey monster mustang mynewpassword mypassword mysecretpassword newpassword newyork nicole
    ninja nothing november nurse october office orange pass passpass passphrase passw passwd
    password passwordpassword passworld patient patients pepper phoenix pokemon princess private
    purple qazwsx qazwsxedc qazwsxedcrfv qwer qwerasdf qwerasdfzxcv qwert qwerty qwertyqwerty
    qwertyui qwertyuio qwertyuiop qwertyuiopasdf qwertyuiopasdfghjkl qwertz qwertzuiop ranger
    robert root rootroot samantha saturday seawall secret secretpassword secretsecret security
    september server shadow silver snoopy soccer spring starwars summer sunday sunshine superman
    superuser support sysadmin system temp temporary test testing testpassword testtest
    thisismypassword thispassword thomas thursday tigger trustno tuesday user username wednesday
    welcome welcomeback welcomewelcome whatever william winter wizard yankees zaq zaqwsx
    zaqxswcde zxcv zxcvbn zxcvbnm
"""
COMMON: Final = frozenset(_WORDS.split()) | MOST_USED
"""What the most used passwords are made of, letters only; digits and signs around are no help."""

_LETTERS_FOR: Final = str.maketrans("01345$@!|", "oieassali")
_ENDS: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")


def normal(password: str) -> str:
    """Return a password as it is hashed, however a keyboard composed its letters (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, user: str, title: str) -> str:
    """Return the password in its normal form; `Invalid` by its reason, which holds none of it."""
    made = normal(password)
    if not SHORTEST <= len(made) <= LONGEST:
        raise _wrong(
            "password-length", f"a password has {SHORTEST} to {LONGEST} characters", "several words"
        )
    folded = made.casefold()
    if _is_common(folded):
        raise _wrong("password-common", "this password is among the first that are tried", "others")
    words = [user.casefold(), *re.split(r"\W+", title.casefold())]
    if any(len(word) >= _SHORTEST_NAME and word in folded for word in words):
        raise _wrong("password-named", "this password holds your own name", "other words")
    return made


def _is_common(folded: str) -> bool:
    """Whether it is a common word, once or more, with digits and signs around it, or a row.

    No kind of character is asked for: digits that follow no rule are a password.
    """
    digits = "".join(letter for letter in folded if letter.isdecimal())
    if len(set(folded)) <= _FEW:
        return True
    plain = "".join(letter for letter in folded if letter.isalpha())
    if len(set(plain)) <= _FEW and (2 * len(plain) >= len(folded) or _is_row(digits)):
        return True
    # Signs that stand for letters lie among letters; at the ends they are signs.
    inner = _ENDS.sub("", folded)
    for text in (folded, inner.translate(_LETTERS_FOR)):
        letters = "".join(letter for letter in text if letter.isalpha())
        if not letters:
            continue
        if letters in COMMON or any(
            letters == word * (len(letters) // len(word)) for word in COMMON
        ):
            return True
    return False


def _is_row(digits: str) -> bool:
    """Whether digits are much used, counted up or down, or the same ones again and again."""
    if digits in MOST_USED_DIGITS:
        return True
    steps = {(int(later) - int(one)) % 10 for one, later in pairwise(digits)}
    if steps <= {0, 1} or steps <= {0, 9}:
        return bool(digits)
    half = range(1, len(digits) // 2 + 1)
    return any(digits == (digits[:n] * len(digits))[: len(digits)] for n in half)


def _wrong(code: str, message: str, use: str) -> Invalid:
    return Invalid(code, message, f"use {use}, such as a sentence that only you would say")
