#!/usr/bin/env bash
# jsonschema-rs: an empty string is a property name like any other (RFC 8259), and RFC 6901 has a
# pointer for it. But the `instance_path` of an error leaves such names out, so that it leads to
# another place, or to none; the error's message and the output of `evaluate` have them.
#
# Ours: asynctasks.operations.error_place finds the place by both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jsonschema-rs==0.60.3

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import jsonschema_rs

inner = {"properties": {"a": {"type": "integer"}}}
validator = jsonschema_rs.Draft202012Validator({"properties": {"": inner}})
value = {"": {"a": "text"}, "a": 1}
(error,) = validator.iter_errors(value)
(unit,) = validator.evaluate(value).errors()
seen = (error.instance_path, unit["instanceLocation"], '[""]["a"]' in error.verbose_message)
print("jsonschema-rs", version("jsonschema-rs"), seen)
sys.exit(seen != (["a"], "//a", True))
PYTHON
