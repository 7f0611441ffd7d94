#!/usr/bin/env bash
# uritemplate: the values 0 and False are expanded as if they were the empty string, in every form of
# RFC 6570 that names its values; 1 and True are written by Python's str(). So ?page=0 and
# ?active=false never reach the server.
#
# Ours: values become JSON's text before they are expanded; the tests of the upstream's URL.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uritemplate==4.2.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import uritemplate

values = {"page": 0, "active": False, "sorted": True, "size": 20}
seen = uritemplate.expand("/items{?page,active,sorted,size}", values)
print("uritemplate", uritemplate.__version__, "expanded", values, "to", seen)
sys.exit(seen != "/items?page=&active=&sorted=True&size=20")
PYTHON
