"""The relay: brings every task on that nobody else does. One duty, one file; `relay` runs them all.

Any number of proxies may run one: each row is given to one of them, and every step may be repeated.
What a duty asks of the database stands in `asynctasks.statements.upkeep`.
"""
