#!/usr/bin/env bash
# Runs each fuzz target of the policy, as `policy/secrets/fuzz/run.sh` does those of the engine.
#
#   run.sh [SECONDS] [TARGET…]
set -euo pipefail
cd "$(dirname "$0")"
FUZZ_DIR=$PWD exec ../secrets/fuzz/run.sh "$@"
