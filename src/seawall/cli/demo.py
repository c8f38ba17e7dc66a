"""`seawall demo`: everything on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import orjson
import typer

from seawall.app.record_reading import Reading
from seawall.cli.ledger.exporting import write_export
from seawall.cli.options import DataDir, Json
from seawall.cli.output import console, print_line, say
from seawall.cli.running import fetch_token
from seawall.compose import log_to
from seawall.core.errors import Missing, Tampered
from seawall.core.policy.principal import Principal
from seawall.tls import client_context

if TYPE_CHECKING:
    from seawall.demo.exchanges import Answered
    from seawall.demo.stage import Stage


def demo(
    data_dir: DataDir = None,
    once: Annotated[bool, typer.Option("--once", help="End after the shown exchanges.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port; 0 chooses a free one.")
    ] = None,
    json: Json = False,
) -> None:
    """Run the whole chain on this machine, with sample patients and a sandbox model."""
    try:
        asyncio.run(_demo(data_dir, port, once=once, json=json))
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise Missing(
            "openai-missing",
            "the demo drives the openai client, which is not installed",
            "pip install 'seawall[demo]', or run `make demo`",
        ) from None


async def _demo(data_dir: Path | None, port: int | None, *, once: bool, json: bool) -> None:
    from seawall.demo.exchanges import script  # noqa: PLC0415  openai is needed by the demo alone
    from seawall.demo.stage import staged  # noqa: PLC0415  as above

    log_to(sys.stderr, "error")
    async with staged(data_dir, port, say) as stage:
        say(f"serving {stage.url} over TLS; asking with the openai client\n")
        results: list[Answered] = []
        application = await _application(stage)
        for number, asked in enumerate(script(stage.patients), 1):
            results.append(await asyncio.to_thread(application.ask, asked))
            if not json:
                _show(number, results[-1])
        application.close()
        ledger = await _verify(stage, quiet=json)
        if json:
            print_line(
                {
                    "exchanges": [result.fields() for result in results],
                    "ledger": ledger,
                    "data_dir": str(stage.installation.settings.data_dir),
                }
            )
        if not once:
            await _keep_serving(stage)


def _show(number: int, answered: Answered) -> None:
    from seawall.demo.show import show_exchange  # noqa: PLC0415  openai is needed by the demo alone

    show_exchange(console(), number, answered)


async def _application(stage: Stage) -> Any:
    """Return the demo's application with a token of its own."""
    from seawall.demo.exchanges import Application  # noqa: PLC0415  as above
    from seawall.demo.stage import CLIENT, TENANT  # noqa: PLC0415  as above

    answer = await fetch_token(
        stage.installation.settings,
        client=f"{TENANT}/{CLIENT}",
        key_file=stage.client_key,
        url=stage.url,
        authority=stage.authority,
    )
    loop = asyncio.get_running_loop()

    def received() -> list[bytes]:
        return asyncio.run_coroutine_threadsafe(_received(stage), loop).result(30)

    return Application(
        url=stage.url,
        token=answer["access_token"],
        authority=stage.authority,
        received=received,
    )


async def _received(stage: Stage) -> list[bytes]:
    """Ask the sandbox itself what reached it, so that nobody need take our word."""
    root = stage.sandbox_url.removesuffix("/v1")
    context = client_context(stage.authority)
    headers = {"Authorization": f"Bearer {stage.sandbox_key}"}
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.get(f"{root}/sandbox/received", headers=headers, ssl=context) as response,
    ):
        return [orjson.dumps(item["body"]) for item in orjson.loads(await response.read())]


async def _verify(stage: Stage, *, quiet: bool) -> dict[str, Any]:
    """Export the tenant's log and have the stand-alone verifier check it."""
    from seawall.demo.stage import TENANT  # noqa: PLC0415  as above

    reader = Principal("operator", "demo", TENANT)
    await stage.writer.readings.record(reader, Reading("export", TENANT))
    head = await stage.installation.store.head(TENANT)
    with tempfile.TemporaryDirectory(prefix="seawall-export-") as folder:
        export = Path(folder) / "log"
        await write_export(stage.installation, TENANT, export)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "seawall.verifier", str(export), "--vkey", head.vkey),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    if process.returncode != 0:
        raise Tampered(
            "verification-failed", "the stand-alone verifier refuses the ledger", "keep the folder"
        )
    if not quiet:
        console().print("\n[bold]the ledger, checked by the stand-alone verifier[/bold]")
        console().print(said.decode().rstrip(), markup=False)
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "verified": True,
    }


async def _keep_serving(stage: Stage) -> None:
    folder = stage.installation.settings.data_dir
    option = "" if str(folder) == "seawall-demo" else f" --data-dir {folder}"
    say(
        "\npoint your own client here:\n"
        f"  export OPENAI_BASE_URL={stage.url}/v1\n"
        f"  export SSL_CERT_FILE={stage.authority.absolute()}\n"
        f"  export OPENAI_API_KEY=$(seawall token --client demo-app{option})\n"
        "and send the headers Seawall-Use-Case (visit-summary, appointment-reminders) and,\n"
        f"for a patient, Seawall-Patient (such as {stage.patients['senger'].reference})\n\n"
        "serving until Ctrl-C"
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()
    say("stopped; the folder keeps everything, and `make demo` goes on with it")
