"""`seawall-verify DIR`: verify a copy of a log. The steps are listed in `steps.py`.

Exit status 0: the log is verified. 1: a step refused it. 2: the program was
called in a way that leaves nothing to verify.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if not __package__:  # run as `python FOLDER`: make the folder a package, under a name of ours
    from importlib.util import module_from_spec, spec_from_file_location

    _here = Path(__file__).resolve().parent
    __package__ = "seawall_verifier"
    _spec = spec_from_file_location(
        __package__, _here / "__init__.py", submodule_search_locations=[str(_here)]
    )
    if _spec is None:
        raise SystemExit("the verifier's folder is not whole")
    sys.modules[__package__] = module_from_spec(_spec)

from .folder import Folder
from .note import NOTE_BYTES, Key, read_key
from .refusal import Refusal, UsageError
from .report import Report, printable
from .steps import KEY, Request, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KEY_BYTES: Final = 4_096
_PROGRESS_SECONDS: Final = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Verify the log that the arguments name, print each step, and return the exit status."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as ended:  # argparse has said why, on standard error
        return int(ended.code or 0)
    report = Report(arguments.folder, as_json=arguments.json)
    try:
        refusal = _verify(arguments, report)
    except UsageError as error:
        print(f"seawall-verify: {printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output went away, and with it the verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    return 0 if refusal is None else 1


def _verify(arguments: argparse.Namespace, report: Report) -> Refusal | None:
    folder = Path(arguments.folder)
    if not _is_folder(folder):
        raise UsageError(f"there is no folder {arguments.folder}; name the copy of a log")
    older = None
    if arguments.checkpoint is not None:
        older = (arguments.checkpoint, _read(arguments.checkpoint, NOTE_BYTES, "--checkpoint"))
    given = _given_key(arguments.vkey) if arguments.vkey is not None else None
    refusal = None
    try:
        key = given or _key_of(folder)
        request = Request(
            folder=folder,
            key=key,
            key_is_from_folder=given is None,
            origin=key.name if arguments.origin is None else arguments.origin,
            older=older,
            every_entry=arguments.entries,
            progress=_progress(time.monotonic),
        )
        for step, result, found in verify(request):
            report.step(step, result, found)
    except Refusal as raised:
        refusal = raised
    report.finish(refusal, key_is_from_folder=given is None)
    return refusal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seawall-verify",
        description="Verify a copy of a transparency log (a C2SP tlog-tiles folder).",
        epilog="Exit status: 0 verified, 1 refused, 2 called wrongly.",
    )
    parser.add_argument("folder", metavar="DIR", help="the copy: checkpoint, tile/, maybe vkey")
    parser.add_argument("--vkey", metavar="KEY", help="the log's verifier key, or a file with it")
    parser.add_argument(
        "--checkpoint", metavar="OLD", help="an older checkpoint: show that nothing was rewritten"
    )
    parser.add_argument(
        "--origin", help="the log's origin, for logs whose origin is not the name of their key"
    )
    parser.add_argument(
        "--entries", action="store_true", help="in step 8 read every entry of a long log too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _given_key(text: str) -> Key:
    """Read `--vkey`: a key, or the name of a file with one."""
    try:
        return read_key(text)
    except ValueError as error:
        if "+" in text and not _is_file(text):
            raise UsageError(f"--vkey: {error}") from None
    try:
        return read_key(_line(_read(text, _KEY_BYTES, "--vkey")))
    except ValueError as error:
        raise UsageError(f"--vkey {text}: {error}") from None


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
    """Return at most one byte more than `limit` of a file that the caller named."""
    try:
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
            print(f"     {done:,} of {size:,} entries", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
