"""How much of each package the tests have run: `./dev test` ends with it.

Not counted is what runs in the processes that tests start.
"""

import json
import sys
from collections import Counter
from pathlib import Path

LEAST_PERCENT = 91
"""What was measured less one: it may rise, and does not fall."""


def main(measured: Path) -> int:
    """Print the share of lines by package and in all; 1 where that is too little."""
    covered, lines = Counter[str](), Counter[str]()
    for name, counted in json.loads(measured.read_text())["files"].items():
        package = Path(name).parts[1]
        covered[package] += counted["summary"]["covered_lines"]
        lines[package] += counted["summary"]["covered_lines"] + counted["summary"]["missing_lines"]
    total = 100 * covered.total() / lines.total()
    shares = [f"{100 * covered[package] / lines[package]:6.1f} % of {package}" for package in lines]
    said = f"{total:6.1f} % of all lines, and at least {LEAST_PERCENT} % are wanted"
    sys.stdout.write("\n".join([*shares, said, ""]))
    return int(total < LEAST_PERCENT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
