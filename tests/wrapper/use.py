"""What somebody would do with the wrapper; prints what came of it as JSON."""

import json
import sys

from sandboxed_agent import SandboxError, run

shieldrun = sys.argv[1]
config = {"timeout_seconds": 120, "network_policy": "none", "secrets_mode": "synthetic"}
task = """
echo out; echo err >&2; cat .env > /dev/null; echo new > made.txt
mkdir -p .github/workflows; echo a > .github/workflows/a.yml; exit 5
"""
first = run(task, sandbox_config=config, shieldrun=shieldrun)
slow = run(["sleep", "60"], sandbox_config={"timeout_seconds": 0.5}, shieldrun=shieldrun)
errors = {}
for name, wrong in {
    "unknown": {"timeout": 3},
    "type": {"timeout_seconds": "soon"},
    "word": {"secrets_mode": "synthetik"},
    "nested": {"limits": {"memry": 1}},
}.items():
    try:
        run(["true"], sandbox_config=wrong, shieldrun=shieldrun)
        errors[name] = "it ran"
    except SandboxError as error:
        errors[name] = str(error)
print(json.dumps({
    "first": first, "stdout": first.stdout, "stderr": first.stderr, "code": first.exit_code,
    "slow": slow, "slow_code": slow.exit_code, "errors": errors,
}))
