"""Counters for operators: how many exchanges ended how. No name, no value, no PHI."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._exchanges = Counter(
            "seawall_exchanges",
            "Exchanges by how they ended: answered, or the code of the refusal or failure.",
            ["outcome"],
            registry=self._registry,
        )

    def exchange(self, outcome: str) -> None:
        """Count one exchange; `outcome` is a code of ours."""
        self._exchanges.labels(outcome).inc()

    def text(self) -> bytes:
        """Return the counters in Prometheus' text format."""
        return generate_latest(self._registry)
