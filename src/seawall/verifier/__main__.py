"""`seawall-verify DIR`: verify a copy of a log. The steps are listed in `steps.py`.

Exit status 0: the log is verified. 1: a step refused it. 2: the program was
called in a way that leaves nothing to verify, or its output could not be
written. 3: a mistake of the program, which says nothing about the log. 130:
interrupted. With `--json` one object is printed in each of these cases.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, cast

if not __package__:  # run as `python FOLDER`: make the folder a package, under a name of ours
    from importlib.util import module_from_spec, spec_from_file_location

    sys.dont_write_bytecode = True  # a copied folder stays as it was copied
    _here = Path(__file__).resolve().parent
    __package__ = "seawall_verifier"
    _spec = spec_from_file_location(
        __package__, _here / "__init__.py", submodule_search_locations=[str(_here)]
    )
    if _spec is None:
        raise SystemExit("the verifier's folder is not whole")
    sys.modules[__package__] = module_from_spec(_spec)

from .folder import Folder
from .note import NOTE_BYTES, Key, read_key, read_witness_key
from .refusal import KEY, OutputError, Refusal, UsageError
from .report import Report, printable, say
from .stamp import Authority, read_authority
from .steps import Outcome, Request, verify
from .witnesses import make_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KEY_BYTES: Final = 4_096
_PEM_BYTES: Final = 1_000_000
_OPENED: Final = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
_PROGRESS_SECONDS: Final = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Verify the log that the arguments name, print each step, and return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: _run(words), as_json="--json" in words)


def guarded(work: Callable[[], int], *, as_json: bool) -> int:
    """Return the exit status of the work; say in one line what else ended it, and its status."""
    try:
        return work()
    except UsageError as error:
        status, problem = 2, str(error)
    except OutputError as error:  # nobody can be told the verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error.__cause__, BrokenPipeError):
            return 2
        status, problem = 2, f"the verdict cannot be written ({error.__cause__})"
    except KeyboardInterrupt:
        status, problem = 130, "interrupted: there is no verdict"
    except Exception as error:  # noqa: BLE001  no traceback is a verdict
        status, problem = 3, f"a mistake of this program, and no verdict: {_place_of(error)}"
    with suppress(OSError, OutputError):
        print(f"seawall-verify: {printable(problem)}", file=sys.stderr, flush=True)
        if as_json:
            say(json.dumps({"verified": False, "error": problem}, indent=2))
    return status


def _place_of(error: Exception) -> str:
    """Return an exception's kind, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _run(words: Sequence[str]) -> int:
    try:
        arguments = _parser().parse_args(words)
    except SystemExit:  # --help
        return 0
    report = Report(arguments.folder, as_json=arguments.json)
    return 0 if _verify(arguments, report) is None else 1


def _verify(arguments: argparse.Namespace, report: Report) -> Refusal | None:
    for folder in (arguments.folder, *arguments.also):
        if not _is_folder(Path(folder)):
            raise UsageError(f"there is no folder {folder}; name the copy of a log")
    given = _given_key(arguments.vkey, "--vkey", read_key) if arguments.vkey is not None else None
    refusal, outcome = None, Outcome()
    try:
        request = _request(arguments, given)
        outcome = _steps(request, report)
    except Refusal as raised:
        refusal = raised
    report.finish(refusal, outcome, key_is_from_folder=given is None)
    return refusal


def _request(arguments: argparse.Namespace, given: Key | None) -> Request:
    """Read what the arguments name: all of it before the first step."""
    now = time.time()
    older = authority = None
    if arguments.checkpoint is not None:
        older = (arguments.checkpoint, _read(arguments.checkpoint, NOTE_BYTES, "--checkpoint"))
    if arguments.timestamp_authority is not None:
        authority = _authority(arguments.timestamp_authority, now)
    keys = [_given_key(text, "--witness", read_witness_key) for text in arguments.witness]
    if arguments.witnesses_required is not None and not keys:
        raise UsageError("--witnesses-required: no --witness is given")
    key = given or _key_of(Path(arguments.folder))
    return Request(
        folder=Path(arguments.folder),
        key=key,
        key_is_from_folder=given is None,
        origin=key.name if arguments.origin is None else arguments.origin,
        older=older,
        every_entry=arguments.entries,
        progress=_progress(time.monotonic),
        also=tuple(map(Path, arguments.also)),
        is_archive=arguments.archive,
        allows_pruned=arguments.allow_pruned,
        allows_older=arguments.allow_older,
        witnesses=make_policy(keys, arguments.witnesses_required, key, now) if keys else None,
        authority=authority,
    )


def _steps(request: Request, report: Report) -> Outcome:
    """Say each step as it ends; return what the verdict is about."""
    steps = verify(request)
    while True:
        try:
            report.step(*next(steps))
        except StopIteration as ended:
            return cast("Outcome", ended.value)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours to say."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        allow_abbrev=False,
        prog="seawall-verify",
        description="Verify a copy of a transparency log (a C2SP tlog-tiles folder).",
        epilog="Exit status: 0 verified, 1 refused, 2 called wrongly, 3 a mistake of the program.",
    )
    add = parser.add_argument
    add("folder", metavar="DIR", help="the copy: checkpoint, tile/, maybe vkey and published/")
    add("--vkey", metavar="KEY", help="the log's verifier key, or a file with it")
    add("--checkpoint", metavar="OLD", help="an older checkpoint: show that nothing was rewritten")
    add(
        "--witness",
        metavar="KEY",
        action="append",
        default=[],
        help="a witness's verifier key, or a file with it; may be given again for each witness",
    )
    add(
        "--witnesses-required",
        metavar="K",
        type=int,
        help="how many of the given witnesses must have cosigned; all, if this is not given",
    )
    add(
        "--timestamp-authority",
        metavar="PEM",
        help="a file with the certificates of an RFC 3161 authority: show since when the log is so",
    )
    add(
        "--also",
        metavar="DIR",
        action="append",
        default=[],
        help="a folder with tiles and bundles that DIR lacks, such as the log's archive",
    )
    _add_consents(parser)
    add("--origin", help="the log's origin, for logs whose origin is not the name of their key")
    add("--entries", action="store_true", help="in step 8 read every entry of a long log too")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def _add_consents(parser: argparse.ArgumentParser) -> None:
    """Add the options by which an auditor accepts less than a whole log."""
    add = parser.add_argument
    add("--archive", action="store_true", help="DIR is an archive: take its newest checkpoint")
    add(
        "--allow-pruned",
        action="store_true",
        help="verify a copy without its first entries from its first one on",
    )
    add(
        "--allow-older",
        action="store_true",
        help="verify a copy though checkpoints in it sign more entries than it holds",
    )


def _given_key(text: str, argument: str, read: Callable[[str], Key]) -> Key:
    """Read an argument: a key, or the name of a file with one."""
    try:
        return read(text)
    except ValueError as error:
        if "+" in text and not _is_file(text):
            raise UsageError(f"{argument}: {error}") from None
    try:
        return read(_line(_read(text, _KEY_BYTES, argument)))
    except ValueError as error:
        raise UsageError(f"{argument} {text}: {error}") from None


def _authority(file: str, now: float) -> Authority:
    argument = "--timestamp-authority"
    raw = _read(file, _PEM_BYTES, argument)
    try:
        return read_authority(raw, now)
    except ValueError:
        raise UsageError(f"{argument}: {file} holds no PEM certificates") from None


def _key_of(folder: Path) -> Key:
    """Read the key that the folder itself holds."""
    if not os.path.lexists(folder / "vkey"):
        raise UsageError("the folder holds no vkey file; give the log's key with --vkey")
    try:
        return read_key(_line(Folder(folder).read(KEY, "vkey", _KEY_BYTES)))
    except ValueError as error:
        advice = "ask the log's operator for the verifier key, and give it with --vkey"
        raise Refusal(KEY, "vkey", str(error), advice) from None


def _line(raw: bytes) -> str:
    """Return the one line of a key file."""
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("the key is not UTF-8") from None


def _read(file: str, limit: int, argument: str) -> bytes:
    """Return at most one byte more than `limit` of a file that the caller named.

    A pipe with a name would keep us waiting; one that a shell opened for us has a writer.
    """
    try:
        if not file.startswith(_OPENED) and not stat.S_ISREG(Path(file).stat().st_mode):
            raise UsageError(f"{argument}: {file} is not a regular file")
        with Path(file).open("rb") as opened:
            return opened.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(f"{argument}: {file} cannot be read ({reason})") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_file(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _progress(clock: Callable[[], float]) -> Callable[[int, int], None]:
    """Return a teller that says on standard error, every few seconds, how far a log is."""
    said_at = clock()

    def tell(done: int, size: int) -> None:
        nonlocal said_at
        if clock() - said_at >= _PROGRESS_SECONDS:
            said_at = clock()
            with suppress(OSError):  # nobody listens, and the verdict is what counts
                print(f"     {done:,} of {size:,} entries", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
