"""How the tables came to be, a step at a time, for both databases; Alembic runs the steps.

A step that was released is never changed: a database may have taken it.
"""
