"""Backups: made while serving, verified to the byte, restored whole or not at all."""
