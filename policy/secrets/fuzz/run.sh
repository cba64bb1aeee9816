#!/usr/bin/env bash
# Runs each fuzz target, with the compiler that builds everything else: no nightly, no cargo-fuzz.
#
#   run.sh [SECONDS] [TARGET…]      default: 60 seconds each; corpora are kept in ./corpus
#
# Coverage needs stable flags only. There is no address sanitizer, which the crate, having no unsafe code, can do without.
set -euo pipefail

cd "${FUZZ_DIR:-$(dirname "$0")}"
seconds=${1:-60}
shift || true
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-target}

export CARGO_TARGET_DIR=$build
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions"
# The host is named so that build scripts are built without the flags.
cargo build --quiet --release --target "$host"

for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    mkdir -p "corpus/$target" artifacts
    "$build/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target-" "corpus/$target" 2>&1 | grep -E 'stat::|BINGO|ERROR|SUMMARY|DONE|panicked' || true
    if compgen -G "artifacts/$target-*" > /dev/null; then
        echo "$target: a failure is kept in artifacts" >&2
        exit 1
    fi
done
