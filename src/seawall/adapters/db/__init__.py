"""Databases behind the Store and Ledger ports."""
