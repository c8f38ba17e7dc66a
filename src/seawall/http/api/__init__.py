"""The administration API below /api: a FastAPI application, one module for each room."""
