"""A validator that knows JSON Schema and nothing of shieldrun.

Reads `{"schema": …, "values": [{"form": "file" | "config", "value": …}, …]}`; prints a list: does each hold?
"""

import json
import sys

from jsonschema import Draft202012Validator

asked = json.load(sys.stdin)
schema = asked["schema"]
Draft202012Validator.check_schema(schema)
whole = Draft202012Validator(schema)
config = Draft202012Validator({**schema["$defs"]["config"], "$schema": schema["$schema"]})
print(json.dumps([(whole if one["form"] == "file" else config).is_valid(one["value"]) for one in asked["values"]]))
