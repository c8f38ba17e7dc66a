"""The ASGI edge: routes as a list, one map from error to status, no rules."""
