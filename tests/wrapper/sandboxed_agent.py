"""Runs a task of an agent behind shieldrun, and says what became of it.

    result = run(["bash", "agent.sh"], sandbox_config={"timeout_seconds": 120, "network_policy": "none"})
    result.exit_code, result.stdout, result["verdict"], result["secrets"]["touched"]

This is all that a wrapper needs, in any language: the settings as JSON, and one file of JSON with the result.
"""

import json
import os
import subprocess
import tempfile


class SandboxError(Exception):
    """The task was not run: a setting that is wrong, or a host that cannot protect."""


class Result(dict):
    """What `--result` wrote, and what the task printed."""

    stdout: str
    stderr: str
    exit_code: int


def run(task, sandbox_config=None, cwd=None, shieldrun="shieldrun"):
    command = ["bash", "-c", task] if isinstance(task, str) else list(task)
    with tempfile.TemporaryDirectory() as scratch:
        file = os.path.join(scratch, "result.json")
        options = ["--quiet", "--config", json.dumps(sandbox_config or {}), "--result", file]
        done = subprocess.run([shieldrun, *options, "--", *command], cwd=cwd, capture_output=True, text=True)
        if not os.path.exists(file):
            raise SandboxError(done.stderr.strip())
        with open(file) as written:
            result = Result(json.load(written))
    result.stdout, result.stderr, result.exit_code = done.stdout, done.stderr, done.returncode
    return result
