"""Two tenants: nearly all that is asked here is one's, and the other is a stranger to it."""

import hashlib
from pathlib import Path

RED_KEY, BLUE_KEY = "key-of-the-red-tenant", "key-of-the-blue-tenant"
RED = {"X-Api-Key": RED_KEY}
"""What its callers show."""
BLUE = {"X-Api-Key": BLUE_KEY}
ACCESS = """
authentication: {apiKeys: {file: keys.yaml}}
rules:
  - {tasks: tenant, may: [submit, read, cancel, retry, delete]}
"""


def write_access_file(folder: Path) -> Path:
    """The file, beside that of the keys."""
    keys = [
        f"{tenant}: {{tenant: {tenant}, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}\n"
        for tenant, key in (("red", RED_KEY), ("blue", BLUE_KEY))
    ]
    (folder / "keys.yaml").write_text("".join(keys))
    file = folder / "access.yaml"
    file.write_text(ACCESS)
    return file
