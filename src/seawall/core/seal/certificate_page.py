"""A certificate of destruction as a page for people: one HTML file, printable, without a script.

It says what the signed note says and proves nothing: the note stands at its end, to be checked.
"""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Certificate of destruction</title>
<style>
body { font: 11pt/1.45 Georgia, serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; border-bottom: 2px solid; padding-bottom: .3rem; }
h2 { font-size: 1.1rem; margin-top: 1.6rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; vertical-align: top; width: 13rem; font-weight: normal; color: #444; }
th, td { padding: .25rem .5rem .25rem 0; border-bottom: 1px solid #ccc; }
td { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 8pt; color: #333; }
@media print { body { margin: 0; max-width: none; } h2, tr { break-inside: avoid; } }
</style>
</head>
<body>
<h1>Certificate of destruction</h1>
<p>$summary</p>
<h2>What was destroyed</h2>
<table>$destroyed</table>
<h2>Who and when</h2>
<table>$people</table>
<h2>What this does not reach</h2>
<ul>$beyond</ul>
<h2>Under which rules</h2>
<ul>$under</ul>
<h2>Evidence</h2>
<table>$logs</table>
<p>The text below is signed. Save it and check it with <code>seawall keys check</code>, or with any
program that reads signed notes (C2SP signed-note).</p>
<pre>$note</pre>
</body>
</html>
""")


def page_of(body: Mapping[str, Any], note: str) -> str:
    """Return the page of a certificate that was verified; every value in it is escaped."""
    keys, deleted = body["keys"], body["deleted"]
    versions = ", ".join(map(str, keys["versions"])) or "none"
    destroyed = [
        ("Data keys deleted", deleted["data_keys"]),
        ("Sealed values deleted", deleted["sealed"]),
        ("Search terms deleted", deleted["terms"]),
        ("Key manager", keys["provider"]),
        ("Root key", keys["root"]),
        ("Versions destroyed", versions),
        ("How", keys["method"]),
        ("Final at", keys["final_at"]),
        ("Copies of keys rewritten", body["copies"]),
        ("No process holds a key after", body["no_process_after"]),
    ]
    if body["patients"]:
        destroyed.insert(0, ("Patients, by ledger id", ", ".join(body["patients"])))
    people = [
        ("Tenant", body["tenant"]),
        ("Reason", body["reason"]),
        *_acts("Ordered", body["ordered"]),
        *_acts("Finished", body["finished"]),
    ]
    logs = [
        (f"Checkpoint of the {name} log", said["checkpoint"])
        for name, said in sorted(body["logs"].items())
    ]
    return _PAGE.substitute(
        summary=escape(_summary(body)),
        destroyed=_rows(destroyed),
        people=_rows(people),
        beyond=_items(_counted(one) for one in body["beyond"]),
        under=_items(f"{one['cite']} ({one['strength']}): {one['says']}" for one in body["under"]),
        logs=_rows(logs),
        note=escape(note),
    )


def _summary(body: Mapping[str, Any]) -> str:
    if body["what"] == "tenant":
        whose = "everything that was sealed for this tenant"
    else:
        count = len(body["patients"])
        whose = f"what was sealed for {count} patient{'' if count == 1 else 's'} of this tenant"
    return (
        f"The keys of {whose} were destroyed. What they sealed opens nowhere any more, wherever "
        "copies of it lie, with the exceptions that are named below."
    )


def _acts(label: str, act: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    who = act["by"]
    yield f"{label} by", f"{who['kind']} {who['name']}"
    yield f"{label} at", act["at"]
    if "entry" in act:
        yield f"{label} in entry", act["entry"]


def _counted(one: Mapping[str, Any]) -> str:
    return f"{one['what']}: {one['count']:,}" if "count" in one else str(one["what"])


def _rows(pairs: Iterable[tuple[str, Any]]) -> str:
    return "".join(
        f"<tr><th>{escape(label)}</th><td>{escape(str(value))}</td></tr>" for label, value in pairs
    )


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
