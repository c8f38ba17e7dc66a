"""Seawall: AI on patient data, lawfully, with proof."""

__version__ = "0.1.0"
