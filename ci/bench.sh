#!/usr/bin/env bash
# What shieldrun costs, as a table of ratios. Never part of pass or fail: a machine that is busy says little.
#
#   ci/bench.sh            the whole table
#   ci/bench.sh once_started at_work
#                          these parts of it (functions of ci/bench/table.py), after the first two
#   ci/bench.sh million building installing
#                          parts that are run only by name: a tree of a million files, a cargo build, an `npm ci`
#                          (its packages come from the registry the first time, and are kept below target/bench)
#   ci/bench.sh record     the record: a million events written, chained and verified
#   SHIELDRUN_BENCH_TREES=DIR:DIR ci/bench.sh scan_tree
#                          the scan for secrets beside ripgrep, on these trees (default: the registry's crates)
#   ci/bench.sh network    the way to the network, beside mitmproxy and srt, which it installs below target/bench
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
# A copy, as `cargo install` makes one: what a linker has just written lies in the kernel's memory in small pieces, and
# starts up to two milliseconds later.
mkdir "$scratch/bin"
cp "$target/release/shieldrun" "$scratch/bin/shieldrun"
binary=$scratch/bin/shieldrun
# Peers are not of the whole table: they come from the registries.
if [[ $* == network ]]; then
  mitm=$target/bench/mitm srt=$target/bench/srt
  if [[ ! -x $mitm/bin/mitmdump ]]; then
    /usr/bin/python3 -m venv "$mitm"
    "$mitm/bin/pip" install -q --disable-pip-version-check mitmproxy
  fi
  [[ -x $srt/node_modules/.bin/srt ]] || npm install --silent --no-audit --no-fund --prefix "$srt" @anthropic-ai/sandbox-runtime
  export MITMDUMP=$mitm/bin/mitmdump
  # It needs more programs of the system's than we do.
  if command -v socat rg bwrap >/dev/null; then export SRT=$srt/node_modules/.bin/srt; fi
  env -u LD_PRELOAD /usr/bin/python3 ci/bench/network.py "$binary" "$scratch"
  exit 0
fi
cc -O2 -D_GNU_SOURCE -o "$scratch/micro" ci/bench/micro.c
env -u LD_PRELOAD /usr/bin/python3 ci/bench/table.py "$binary" "$scratch" "$@"
