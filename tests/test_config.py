"""Settings: where they come from, which one wins, and what refuses to start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seawall.config import (
    AccessTable,
    ArchiveBucket,
    ArchiveFolder,
    OpenIdProvider,
    Passphrase,
    PayloadBucket,
    PayloadFolder,
    Settings,
    TimeStamps,
    Witness,
    environment,
    read_passphrase,
    read_settings,
)
from seawall.core.errors import Invalid, Missing


def write(folder: Path, text: str) -> None:
    """Write the settings file of a folder."""
    (folder / "seawall.toml").write_text(text, encoding="utf-8")


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    """An empty folder and an empty environment give the documented defaults."""
    assert Settings(tmp_path) == read_settings(tmp_path, {})


def test_the_nearest_setting_wins(tmp_path: Path) -> None:
    """The command line wins over the environment, and this over the file."""
    write(tmp_path, 'port = 1\nname = "file.example"\nlog_level = "error"\nledger_seconds = 2')
    variables = {"SEAWALL_PORT": "2", "SEAWALL_NAME": "variable.example", "PORT": "9"}
    settings = read_settings(tmp_path, variables, port=3, host=None)
    expected = Settings(
        tmp_path, port=3, name="variable.example", log_level="error", ledger_seconds=2
    )
    assert expected == settings


def test_the_folder_comes_from_the_command_line_first(tmp_path: Path) -> None:
    """A named folder wins over SEAWALL_DATA_DIR, and this over the demo's."""
    variables = {"SEAWALL_DATA_DIR": str(tmp_path)}
    assert tmp_path / "a" == read_settings(tmp_path / "a", variables).data_dir
    assert tmp_path == read_settings(None, variables).data_dir
    assert Path("seawall-demo") == read_settings(None, {"SEAWALL_DATA_DIR": ""}).data_dir


WRONG_VALUES: list[dict[str, Any]] = [
    {"port": -1},
    {"port": 65_536},
    {"log_level": "loud"},
    {"log_level": "DEBUG"},
    {"ledger_seconds": 0},
    {"ledger_seconds": 61},
    {"ledger_seconds": float("nan")},
    {"database_pages": -1},
    {"host": "localhost"},
    {"host": ""},
    {"name": ""},
    {"name": "two words"},
    {"name": "a+b"},
    {"name": "a/b"},
    {"name": "line\nbreak"},
]


@pytest.mark.parametrize("given", WRONG_VALUES)
def test_a_wrong_value_refuses_to_start(tmp_path: Path, given: dict[str, Any]) -> None:
    """A value outside its range is Invalid, names the setting and does not quote the value."""
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {}, **given)
    (name,) = given
    assert ("wrong-setting", f"the setting {name} is not usable") == (
        caught.value.code,
        caught.value.message,
    )


@pytest.mark.parametrize(
    "text",
    [
        "port = ",
        "prot = 8443",
        'data_dir = "/elsewhere"',
        'port = "8443"',
        "port = true",
        "port = 1.5",
        "host = 5",
        "name = 5",
        "log_level = []",
        'ledger_seconds = "5"',
        "[port]",
        "\ufffe",
    ],
)
def test_a_wrong_file_refuses_to_start(tmp_path: Path, text: str) -> None:
    """A file that cannot be read, an unknown setting and a value of the wrong kind are Invalid."""
    write(tmp_path, text)
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {})
    assert caught.value.code == "wrong-setting"


def test_a_file_that_is_not_text_refuses_to_start(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and a folder in the file's place, are Invalid."""
    (tmp_path / "seawall.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "other" / "seawall.toml").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "other"):
        with pytest.raises(Invalid):
            read_settings(folder, {})


@pytest.mark.parametrize("name", ["PORT", "LEDGER_SECONDS", "DATABASE_PAGES"])
def test_a_variable_that_is_no_number_refuses_to_start(tmp_path: Path, name: str) -> None:
    """A variable must have its setting's kind; its value is not quoted."""
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {f"SEAWALL_{name}": "many"})
    assert f"SEAWALL_{name}" in caught.value.message
    assert "many" not in repr(caught.value)


def test_a_whole_number_is_good_for_seconds(tmp_path: Path) -> None:
    """Seconds may be written without a fraction, in the file and in the environment."""
    write(tmp_path, "ledger_seconds = 3")
    assert read_settings(tmp_path, {}).ledger_seconds == 3
    assert read_settings(tmp_path, {"SEAWALL_LEDGER_SECONDS": "0.5"}).ledger_seconds == 0.5


def test_addresses_follow_from_name_and_port(tmp_path: Path) -> None:
    """The base URL has the port; the audience of assertions is stable, whatever the port."""
    settings = Settings(tmp_path, name="seawall.example", port=9443)
    assert settings.base_url == "https://seawall.example:9443"
    assert settings.token_url == "https://seawall.example/oauth2/token"


def test_the_usual_port_is_in_no_address(tmp_path: Path) -> None:
    """A browser's origin leaves it out, and is compared with this."""
    assert "https://clinic.example" == Settings(tmp_path, name="clinic.example", port=443).base_url


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    """Settings are read once and stay."""
    settings: Any = Settings(tmp_path)
    with pytest.raises(AttributeError):
        settings.port = 1


def test_the_passphrase_is_taken_from_the_nearest_place(tmp_path: Path) -> None:
    """The named file wins over the variable's file, over the variable, over the demo's file."""
    for name in ("passphrase", "named", "variable"):
        (tmp_path / name).write_text(f" from {name}\n", encoding="utf-8")
    file = {"SEAWALL_PASSPHRASE_FILE": str(tmp_path / "variable")}
    both = {**file, "SEAWALL_PASSPHRASE": "from text"}
    assert read_passphrase(tmp_path, both, tmp_path / "named") == Passphrase(b"from named")
    assert read_passphrase(tmp_path, both) == Passphrase(b"from variable")
    text = {"SEAWALL_PASSPHRASE": "from text"}
    assert read_passphrase(tmp_path, text) == Passphrase(b"from text")
    assert read_passphrase(tmp_path, {}) == Passphrase(b"from passphrase")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SEAWALL_PASSPHRASE": ""},
        {"SEAWALL_PASSPHRASE_FILE": ""},
        {"SEAWALL_PASSPHRASE_FILE": "no-such-file", "SEAWALL_PASSPHRASE": "a fallback"},
    ],
)
def test_without_a_passphrase_nothing_starts(tmp_path: Path, variables: dict[str, str]) -> None:
    """No passphrase, an empty one and a file that is not there are Missing."""
    with pytest.raises(Missing) as caught:
        read_passphrase(tmp_path, variables).needed()
    assert caught.value.code == "passphrase-missing"


def test_a_passphrase_file_must_be_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and nothing but spaces, are no passphrase."""
    for raw in (b"\xff", b" \n"):
        (tmp_path / "named").write_bytes(raw)
        with pytest.raises(Missing):
            read_passphrase(tmp_path, {}, tmp_path / "named").needed()


def test_a_mounted_secret_is_taken_as_it_is(tmp_path: Path) -> None:
    """Random bytes are no text, and keep their last byte even where it is a space."""
    (tmp_path / "mounted").write_bytes(b"\xff\x00 ")
    variables = {"SEAWALL_ROOT_SECRET_FILE": str(tmp_path / "mounted")}
    assert read_passphrase(tmp_path, variables) == Passphrase(b"\xff\x00 ", is_secret=True)


def test_a_passphrase_shows_nothing() -> None:
    """Neither repr nor str of a passphrase holds it."""
    secret = Passphrase(b"correct horse")
    assert "horse" not in f"{secret!r}{secret}"


def test_the_environment_is_the_process_own() -> None:
    """The environment is read when asked for, with what the process has."""
    assert "PATH" in environment()


TABLES = """
witnesses_required = 1

[[witnesses]]
vkey = "w+00000000+AAAA"
url = "https://witness.example/w"

[[archives]]
name = "shelf"
folder = "/mnt/shelf"

[[archives]]
name = "vault"
bucket = "ledger"

[timestamps]
url = "https://tsa.example/"
authority = "/etc/tsa.pem"
"""


def test_tables_of_the_file_are_read(tmp_path: Path) -> None:
    """Witnesses, archives of both kinds and the time-stamping authority come from the file."""
    (tmp_path / "seawall.toml").write_text(TABLES, "utf-8")
    settings = read_settings(tmp_path, {})
    assert (Witness("w+00000000+AAAA", "https://witness.example/w"),) == settings.witnesses
    expected = (ArchiveFolder("shelf", "/mnt/shelf"), ArchiveBucket("vault", "ledger"))
    assert expected == settings.archives
    assert TimeStamps("https://tsa.example/", "/etc/tsa.pem") == settings.timestamps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("[payloads]\nfolder = 'payloads'", PayloadFolder("payloads")),
        ("[payloads]\nbucket = 'clinic'\nprefix = 'p'", PayloadBucket("clinic", "p")),
        (
            "database = 'postgresql://u@h/x'\n[payloads]\nfolder = '/mnt/payloads'",
            PayloadFolder("/mnt/payloads"),
        ),
    ],
)
def test_the_place_of_payloads_is_read(
    tmp_path: Path, text: str, expected: PayloadFolder | PayloadBucket | None
) -> None:
    """A folder or a bucket; without a table they stay in the database."""
    (tmp_path / "seawall.toml").write_text(text, "utf-8")
    assert expected == read_settings(tmp_path, {}).payloads


PROVIDER = (
    "[[providers]]\nname = 'idp'\ntenant = 'clinic'\nissuer = 'https://id.example'\n"
    "client_id = 'seawall'\n"
)


def test_sessions_may_be_shorter_and_providers_named(tmp_path: Path) -> None:
    """The file says how long sessions last, and where persons sign in."""
    (tmp_path / "seawall.toml").write_text("[access]\nidle_minutes = 5\n" + PROVIDER, "utf-8")
    settings = read_settings(tmp_path, {})
    assert AccessTable(idle_minutes=5, session_minutes=480) == settings.access
    expected = OpenIdProvider("idp", "clinic", "https://id.example", "seawall", amr="mfa")
    assert (expected,) == settings.providers


def test_the_clients_that_may_change_persons_are_named(tmp_path: Path) -> None:
    """Each by its tenant; where the file names none, none may."""
    named = "clinic/okta  riverside/entra-id"
    (tmp_path / "seawall.toml").write_text(f"[access]\nprovisioners = '{named}'\n", "utf-8")
    access = read_settings(tmp_path, {}).access
    assert {"clinic/okta", "riverside/entra-id"} == access.named
    assert frozenset() == AccessTable().named


@pytest.mark.parametrize(
    "text",
    [
        "witnesses = 1",
        "[witnesses]\nvkey = 'x'",
        "[[witnesses]]\nvkey = 'x'",
        "[[witnesses]]\nvkey = 'x'\nurl = 'u'",
        "[[witnesses]]\nvkey = 1\nurl = 'u'",
        "[[witnesses]]\nvkey = 'x'\nurl = 'u'\nmore = 'y'",
        "witnesses_required = 1",
        "witnesses_required = 2\n[[witnesses]]\nvkey = 'x'\nurl = 'u'",
        "[[archives]]\nname = 'a'",
        "[[archives]]\nname = 'a'\nfolder = 'x'\n[[archives]]\nname = 'a'\nfolder = 'y'",
        "[[archives]]\nname = 'a'\nfolder = '/x'\n[[archives]]\nname = 'b'\nfolder = '/y/../x/'",
        "[[archives]]\nname = 'a'\nbucket = 'x'\n[[archives]]\nname = 'b'\nbucket = 'x'",
        (
            "[[archives]]\nname = 'a'\nbucket = 'x'\nendpoint = 'https://s.example'\nprefix = 'p'\n"
            "[[archives]]\nname = 'b'\nbucket = 'x'\n"
            "endpoint = 'https://S.example/'\nprefix = '/p/'"
        ),
        "[payloads]",
        "payloads = 'x'",
        "[payloads]\nfolder = ''",
        "[payloads]\nbucket = ''",
        "[payloads]\nfolder = 'x'\nbucket = 'y'",
        "[payloads]\nbucket = 'y'\nendpoint = 'http://s.example'",
        "[payloads]\nfolder = 'x'\nmore = 'y'",
        "[payloads]\nfolder = '/x'\n[[archives]]\nname = 'a'\nfolder = '/y/../x'",
        "[payloads]\nbucket = 'x'\n[[archives]]\nname = 'a'\nbucket = 'x'\nprefix = '/'",
        "database = 'postgresql://u@h/x'\n[payloads]\nfolder = 'not-shared'",
        "[access]\nidle_minutes = 16",
        "[access]\nidle_minutes = 0",
        "[access]\nsession_minutes = 481",
        "[access]\nemergency_review_hours = 73",
        "[access]\nidle_minutes = '5'",
        "[access]\nprovisioners = 5",
        "[access]\nprovisioners = ['clinic/okta']",
        "[access]\nprovisioners = 'okta'",
        "[access]\nprovisioners = 'clinic/okta, clinic/entra'",
        "[access]\nprovisioners = 'clinic/*'",
        "[access]\nmore = 5",
        "[[providers]]\nname = 'a'",
        PROVIDER.replace("https://", "http://"),
        PROVIDER.replace("'idp'", "'I D P'"),
        PROVIDER + "amr = ' '",
        PROVIDER + PROVIDER,
        "[timestamps]\nurl = 'u'",
        "timestamps = 'u'",
        "publish_seconds = 0.5",
        "database = 'mysql://u@h/x'",
        "database = 'postgresql://u:secret@h/x'",
    ],
)
def test_a_table_that_is_not_whole_refuses_to_start(tmp_path: Path, text: str) -> None:
    """A missing, unknown or mistyped field, and an unsafe combination, are wrong settings."""
    (tmp_path / "seawall.toml").write_text(text, "utf-8")
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {})
    assert "wrong-setting" == caught.value.code
    assert "secret" not in str(caught.value)
