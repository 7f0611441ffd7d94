"""What the demo Customer API's own database holds after the run."""

import sqlite3
from pathlib import Path


def read_customers(path: Path) -> tuple[list[tuple[str, str, str | None]], int]:
    """The upstream's clients, and how many calls it refused."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        clients = connection.execute("SELECT id, email, idempotency_key FROM clients").fetchall()
        (refusals,) = connection.execute("SELECT count(*) FROM refusals").fetchone()
        return clients, refusals
    finally:
        connection.close()
