#!/usr/bin/env bash
# What shieldrun costs, as a table of ratios. Never part of pass or fail: a machine that is busy says little.
#
#   ci/bench.sh            the whole table
#   ci/bench.sh once_started at_work
#                          these parts of it (functions of ci/bench/table.py), after the first two
#   ci/bench.sh million building
#                          parts that are run only by name: a tree of a million files, a cargo build
#   ci/bench.sh record     the record: a million events written, chained and verified
#   SHIELDRUN_BENCH_TREES=DIR:DIR ci/bench.sh scan_tree
#                          the scan for secrets beside ripgrep, on these trees (default: the registry's crates)
#   ci/bench.sh --quick    few rounds and small trees: does everything still measure what it says?
#
# Needs bubblewrap, unshare, gcc, node, git and Debian's python3; ci/test.sh installs them. `scan_tree` needs ripgrep.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# The writer of the record is inside the launcher, so it times itself.
if [[ $# == 0 || " $* " == *" record "* ]]; then
  cargo test --release --locked --package shieldrun --bin shieldrun -- --ignored --nocapture a_million_events
  [[ $* != record ]] || exit 0
fi
cargo build --release --locked --package shieldrun
scratch=$(mktemp -d /var/tmp/shieldrun-bench.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cc -O2 -D_GNU_SOURCE -o "$scratch/micro" ci/bench/micro.c
env -u LD_PRELOAD /usr/bin/python3 ci/bench/table.py "$target/release/shieldrun" "$scratch" "$@"
