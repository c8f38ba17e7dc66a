"""Detection alone: how much of ordinary notes one CPU second searches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.table import Table, figure, say
from seawall.adapters.gazetteers import load_detector
from seawall.core.phi.known import KnownIdentifiers
from seawall.demo.stage import sample_patients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.effort import Effort
    from seawall.app.ports import Detector


def measure(effort: Effort) -> Table:
    """Return the table of detection."""
    say("detection: loading lists, searching the sample notes")
    detector = load_detector()
    patients = sample_patients().values()
    notes = [(note, ()) for patient in patients for note in patient.notes]
    named = [
        (note, (KnownIdentifiers.from_fhir(patient.patient()),))
        for patient in patients
        for note in patient.notes
    ]
    return Table(
        f"Detection: the {len(notes)} sample notes, again and again",
        ("notes", "KB per CPU second", "us per KB"),
        [
            _row("of nobody named", notes, detector, effort.part_seconds),
            _row("of a named patient each", named, detector, effort.part_seconds),
        ],
    )


def _row(
    title: str,
    notes: Sequence[tuple[str, tuple[KnownIdentifiers, ...]]],
    detector: Detector,
    seconds: float,
) -> tuple[str, ...]:
    size = sum(len(note.encode()) for note, _ in notes) / 1000
    for note, known in notes:
        detector.find(note, known)
    times, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds or not times:
        for note, known in notes:
            detector.find(note, known)
        times += 1
    return title, figure(times * size / spent), figure(1e6 * spent / times / size)
