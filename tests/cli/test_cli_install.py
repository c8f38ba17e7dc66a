"""`seawall init`, `serve`, `client-key` and `token`, and how errors are told."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from clinic import Clinic, Server
    from terminal import Terminal

PROGRAM = "from seawall.cli import main; main()"


def seawall(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `seawall` as a process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return subprocess.run(  # noqa: S603  the interpreter that runs the tests
        [sys.executable, "-c", PROGRAM, *command],
        capture_output=True,
        check=False,
        text=True,
        env={**clean, **environment},
    )


def test_init_makes_a_folder_that_only_its_owner_reads(terminal: Terminal) -> None:
    """The folder has a key ring, a database, certificates and an operator's key, all private."""
    made = {str(path.relative_to(terminal.folder)) for path in terminal.folder.rglob("*.*")}
    private = ("keys/ring.json", "clients/hillside-operator.jwk")

    assert {"seawall.db", "tls/authority.pem", *private} <= made
    assert [0o600] * 2 == [
        stat.S_IMODE((terminal.folder / name).stat().st_mode) for name in private
    ]
    assert "passphrase" not in made


def test_init_does_not_touch_an_installation(terminal: Terminal) -> None:
    """A folder that has a key ring is left as it is."""
    before = (terminal.folder / "keys" / "ring.json").read_bytes()

    said = terminal.run("init", "--tenant", "other")

    assert "ring-exists" == said.code
    assert before == (terminal.folder / "keys" / "ring.json").read_bytes()


def test_error_is_told_in_two_lines(tmp_path: Path) -> None:
    """An error is told on standard error with message, code and help; exit status 1."""
    said = seawall("get", "UseCase", "--data-dir", str(tmp_path), SEAWALL_PASSPHRASE="x")

    assert (1, "") == (said.returncode, said.stdout)
    assert (True, True) == (said.stderr.startswith("error: "), "help: " in said.stderr)
    assert "Traceback" not in said.stderr


def test_without_a_command_there_is_help() -> None:
    """Without a command the commands are listed."""
    assert "demo" in seawall("--help").stdout


@pytest.mark.parametrize(
    "command",
    [("get", "UseCase"), ("ledger", "verify"), ("ledger", "list"), ("serve", "--port", "0")],
)
def test_wrong_passphrase_opens_nothing(command: tuple[str, ...], terminal: Terminal) -> None:
    """A wrong passphrase is told as such, whatever the command."""
    said = terminal.run(*command, SEAWALL_PASSPHRASE="wrong")

    assert ("wrong-passphrase", "") == (said.code, said.out)


@pytest.mark.parametrize("passphrase", ["", None])
def test_missing_passphrase_is_told(
    passphrase: str | None, terminal: Terminal, tmp_path: Path
) -> None:
    """An empty passphrase, and a passphrase file that is not there, are told."""
    file = str(tmp_path / "nowhere")
    options = ("--passphrase-file", file) if passphrase is None else ()

    said = terminal.run("get", "UseCase", *options, SEAWALL_PASSPHRASE=passphrase or "")

    assert "passphrase-missing" == said.code


def test_passphrase_may_come_from_a_file(terminal: Terminal, tmp_path: Path) -> None:
    """The passphrase file wins over the variable."""
    file = tmp_path / "passphrase"
    file.write_text("open sesame\n", encoding="ascii")

    said = terminal.run(
        "get", "Client", "--json", "--passphrase-file", str(file), SEAWALL_PASSPHRASE="wrong"
    )

    assert ["operator"] == [document["name"] for document in said.json()]


def test_missing_folder_is_told(terminal: Terminal, tmp_path: Path) -> None:
    """A folder that is no installation is told, and is not made."""
    said = terminal.run("ledger", "verify", "--data-dir", str(tmp_path / "nowhere"))

    assert "ring-missing" == said.code
    assert [] == list(tmp_path.iterdir())


def test_second_process_is_told_that_the_folder_is_in_use(
    server: Server, terminal: Terminal, shipped: Path
) -> None:
    """What writes and has no API is told that a server holds the folder."""
    bundle = str(shipped / "patients" / "toy.json")
    passphrase = "correct horse battery staple"

    said = terminal.run(
        *("patient", "import", bundle, "--data-dir", str(server.clinic.folder)),
        SEAWALL_PASSPHRASE=passphrase,
    )

    assert "folder-in-use" == said.code


def test_wrong_setting_is_told(terminal: Terminal) -> None:
    """A setting that cannot be used is told by its name."""
    said = terminal.run("get", "UseCase", SEAWALL_PORT="many")

    assert "wrong-setting" == said.code
    assert "SEAWALL_PORT" in str(said.error)


def test_client_key_prints_the_public_half(terminal: Terminal, tmp_path: Path) -> None:
    """The private key goes to a new file of mode 0600; only the public one is printed."""
    file = tmp_path / "client.jwk"

    printed = terminal.run("client-key", str(file)).json()["public_key"]
    kept = json.loads(file.read_bytes())

    assert {"kty", "crv", "x"} == set(printed)
    assert (printed["x"], True) == (kept["x"], "d" in kept)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert "key-exists" == terminal.run("client-key", str(file)).code
    assert kept == json.loads(file.read_bytes())


def token(server: Server, terminal: Terminal, key: Path, *options: str) -> str:
    """Run `seawall token` for the client `app` of the running server."""
    key.write_text(json.dumps(server.clinic.keys["app"]), encoding="ascii")
    client = ("token", "--client", "riverside/app", "--key", str(key))
    return terminal.run(*client, "--data-dir", str(server.clinic.folder), *options).out


def test_token_is_usable_as_an_api_key(server: Server, terminal: Terminal, tmp_path: Path) -> None:
    """`seawall token` prints a token and nothing else, with which a request is answered."""
    printed = token(server, terminal, tmp_path / "app.jwk").strip()
    headers = {"Authorization": f"Bearer {printed}", "Seawall-Use-Case": "visit-summary"}
    body = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'

    reply = server.send("POST", "/v1/chat/completions", body, headers)

    assert "answered" == reply.code


def test_token_as_json_says_how_long_it_lives(
    server: Server, terminal: Terminal, tmp_path: Path
) -> None:
    """With --json the whole answer is printed."""
    parsed = json.loads(token(server, terminal, tmp_path / "app.jwk", "--json"))

    assert ("Bearer", 600) == (parsed["token_type"], parsed["expires_in"])


def test_token_with_a_wrong_key_is_refused(
    server: Server, terminal: Terminal, tmp_path: Path
) -> None:
    """A key that is not the client's is refused by the server, in its words."""
    key = tmp_path / "other.jwk"
    terminal.run("client-key", str(key))
    options = ("--key", str(key), "--data-dir", str(server.clinic.folder))

    assert "assertion-refused" == terminal.run("token", "--client", "riverside/app", *options).code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--client", "operator"), "server-not-running"),
        (("--client", "nobody"), "tenant-unclear"),
        (("--client", "hillside/nobody", "--url", "https://127.0.0.1:9"), "client-key-missing"),
        (("--client", "operator", "--url", "https://127.0.0.1:9"), "server-unreachable"),
    ],
)
def test_token_that_cannot_be_had_is_told(
    options: tuple[str, ...], code: str, terminal: Terminal
) -> None:
    """No server, an unclear client, a missing key and a deaf address are told apart."""
    assert code == terminal.run("token", *options).code


def test_key_that_is_none_is_told(terminal: Terminal, tmp_path: Path) -> None:
    """A file that is JSON and no key is told as such."""
    key = tmp_path / "key"
    key.write_text('{"kty": "RSA"}', encoding="ascii")
    named = ("--client", "hillside/operator", "--key", str(key), "--url", "https://127.0.0.1:9")

    assert "client-key-invalid" == terminal.run("token", *named).code


def test_folder_notes_its_server_only_while_it_is_served(server: Server, clinic: Clinic) -> None:
    """A served folder notes where its server listens; a folder that none holds does not."""
    noted = json.loads((server.clinic.folder / "server.json").read_bytes())

    assert {"url": f"https://localhost:{server.port}"} == noted
    assert not (clinic.folder / "server.json").exists()
