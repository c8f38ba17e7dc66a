"""How: the ports over databases, key stores, models and the machine."""
