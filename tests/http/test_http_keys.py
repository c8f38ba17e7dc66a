"""Keys over HTTPS: the commands while a server holds the folder, and who may call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from clinic import Clinic, connect, send, served_apart
from key_operators import TENANT, Place, furnished
from seawall.compose import Installation, client_assertion
from seawall.config import Passphrase, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinic import Reply


class Door:
    """The server of a place, and its clients."""

    def __init__(self, place: Place, port: int, installation: Installation) -> None:
        self.place = place
        self._port = port
        self._installation = installation
        self._tokens: dict[str, str] = {}

    def send(
        self, method: str, path: str, order: Any = None, client: str = "operator", **headers: str
    ) -> Reply:
        """Send one request as a client of the tenant."""
        body = None if order is None else json.dumps(order).encode()
        said = {"Authorization": f"Bearer {self._token(client)}", **headers}
        folder = self._installation.settings.data_dir
        return send(connect(self._port, folder / "tls" / "authority.pem"), method, path, body, said)

    def proof(self) -> dict[str, str]:
        """Return the headers of an operator who has a code to spare."""
        phone = self.place.phone()
        return {"Seawall-Operator": phone.name, "Seawall-Code": phone.code()}

    def _token(self, client: str) -> str:
        if client not in self._tokens:
            settings = self._installation.settings
            key = json.loads((settings.data_dir / "clients" / f"{TENANT}-{client}.jwk").read_text())
            assertion = client_assertion(key, f"{TENANT}/{client}", settings.token_url)
            form = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + assertion
            reply = send(
                connect(self._port, settings.data_dir / "tls" / "authority.pem"),
                "POST",
                "/oauth2/token",
                form.encode(),
                {"Content-Type": "application/x-www-form-urlencoded"},
            )
            self._tokens[client] = str(reply.json()["access_token"])
        return self._tokens[client]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Serve a folder with three operators by a process of its own."""
    base = tmp_path_factory.mktemp("keys")
    place = furnished(base / "data", "ann", "ben")
    key = base / "data" / "clients" / f"{TENANT}-bare.jwk"
    public = place.terminal.run("client-key", str(key)).json()["public_key"]
    document = {"kind": "Client", "name": "bare", "spec": {"title": "bare", "public_key": public}}
    file = base / "bare.yaml"
    file.write_text(json.dumps(document), "utf-8")
    place.terminal.run("apply", "-f", str(file), "--json").json()
    settings = Settings(base / "data", port=0)
    installation = Installation.open(settings, Passphrase(b"open sesame"))
    clinic = Clinic(installation, {}, {})
    with served_apart(clinic, base, SEAWALL_PASSPHRASE="open sesame") as server:
        yield Door(place, server.port, installation)


def test_the_commands_work_while_a_server_holds_the_folder(door: Door) -> None:
    """Rotation, status and shredding go through the server; the certificate comes back."""
    assert 2 == door.place.keys("rotate", "tenant", "--json").json()["version"]
    told = door.place.terminal.run("keys", "status", "--json").json()
    assert (0, True) == (told["left"], told["operators"])
    (done,) = door.place.keys(
        "shred", "--patient", "ann", "--reason", "error", "--yes", "--json"
    ).json()
    assert 0 == door.place.terminal.run("keys", "check", done["json"]).status


def test_an_error_comes_back_as_it_was(door: Door) -> None:
    """At once where the second factor fails, later where the work does."""
    wrong = door.place.terminal.run(
        "keys", "rotate", "root", "--operator", "olga", "--code", "000000"
    )
    unknown = door.place.keys("shred", "--patient", "nobody", "--reason", "error", "--yes")
    assert ("step-up-failed", "patient-unknown") == (wrong.code, unknown.code)


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/keys"), ("POST", "/api/keys")])
def test_a_client_needs_its_documents_word(door: Door, method: str, path: str) -> None:
    """Off unless said, for looking too."""
    reply = door.send(method, path, {"do": "rewrap"} if method == "POST" else None, "bare")
    assert (403, "access-refused") == (reply.status, reply.code)


def test_an_order_needs_the_second_factor_in_headers(door: Door) -> None:
    """Without them it is refused; nothing is begun."""
    reply = door.send("POST", "/api/keys", {"do": "rewrap"})
    assert (401, "step-up-needed") == (reply.status, reply.code)


def test_a_further_operator_is_enrolled_over_the_api(door: Door) -> None:
    """With an operator's code; whoever has a factor gets another one at the terminal alone."""
    order = {"do": "enrol", "name": "eve"}
    without = door.send("POST", "/api/keys", order)
    made = door.send("POST", "/api/keys", order, **door.proof())
    again = door.send("POST", "/api/keys", order, **door.proof())
    assert [(401, "step-up-needed"), (200, ""), (403, "enrol-at-terminal")] == [
        (one.status, one.code if one.status != 200 else "") for one in (without, made, again)
    ]
    assert made.json()["uri"].startswith("otpauth://totp/")


@pytest.mark.parametrize("options", [("olga",), ("sam", "--system")])
def test_the_command_says_to_stop_the_server(door: Door, options: tuple[str, ...]) -> None:
    """A server that holds the folder replaces nobody's factor, and knows no tenant `system`."""
    assert "enrol-at-terminal" == door.place.keys("enrol", *options).code


@pytest.mark.parametrize(
    "order",
    [
        [],
        {},
        {"do": "everything"},
        {"do": "rotate", "what": "root", "tenant": "other"},
        {"do": "rewrap", "force": True},
    ],
)
def test_an_order_has_the_fields_of_its_kind(door: Door, order: Any) -> None:
    """Nothing is ignored: a misspelt field is an error, before any code is used up."""
    reply = door.send("POST", "/api/keys", order)
    assert (400, "order-invalid") == (reply.status, reply.code)


def test_work_goes_on_after_the_answer_and_is_followed(door: Door) -> None:
    """202 with an id; then how it ended. Another client's word does not show it."""
    reply = door.send("POST", "/api/keys", {"do": "rewrap"}, **door.proof())
    assert 202 == reply.status
    path = f"/api/keys/work/{reply.json()['work']}"
    told = door.send("GET", path).json()
    while told["state"] == "running":
        told = door.send("GET", path).json()
    assert ("done", {"rewrapped": 0}) == (told["state"], told["result"])
    assert 403 == door.send("GET", path, client="bare").status
    unknown = door.send("GET", "/api/keys/work/00")
    assert (404, "work-unknown") == (unknown.status, unknown.code)


def test_another_tenant_cannot_be_named(door: Door) -> None:
    """The tenant that is shredded is the client's own, typed again."""
    order = {"do": "shred", "tenant": "other", "reason": "other"}
    reply = door.send("POST", "/api/keys", order, **door.proof())
    path = f"/api/keys/work/{reply.json()['work']}"
    told = door.send("GET", path).json()
    while told["state"] == "running":
        told = door.send("GET", path).json()
    assert ("failed", "order-invalid") == (told["state"], told["code"])
