#!/usr/bin/env bash
# Recall and false alarms of the secrets engine, on data that others published.
#
#   ci/secrets-report.sh [DIRECTORY]      keeps what it fetches in DIRECTORY (default: a temporary one)
#
# Recall: samples drawn from the rules of the crate `kingfisher-rules`, and the positive files of the crate
# `ripsecrets`. False alarms: its negative file, the sources of this workspace's dependencies, and npm packages.
# Findings are printed by kind and place, never by value.
set -euo pipefail

cd "$(dirname "$0")/.."
root=$PWD
work=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
work=$(cd "$work" && pwd)

need() { command -v "$1" > /dev/null || { echo "secrets-report: needs \`$1\`" >&2; exit 1; }; }
need cargo
need python3

cargo build --quiet --release --package shieldrun-secrets --example report
report=${CARGO_TARGET_DIR:-$root/target}/release/examples/report

# Only fetched, never built: the crates' data is what we want.
mkdir -p "$work/fetch/src"
cat > "$work/fetch/Cargo.toml" << 'TOML'
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[workspace]
[dependencies]
kingfisher-rules = "=2.0.0"
ripsecrets = "=0.1.11"
TOML
touch "$work/fetch/src/lib.rs"
(cd "$work/fetch" && cargo vendor --quiet vendor > /dev/null)
rules=$work/fetch/vendor/kingfisher-rules
positives=$work/fetch/vendor/ripsecrets/test

if [ ! -x "$work/venv/bin/python" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet rstr==3.2.2 pyyaml
fi

echo "== recall: samples from the rules of kingfisher-rules"
"$work/venv/bin/python" policy/secrets/corpora/samples.py 50 "$rules"/generated/rules/*.yml > "$work/samples.tsv"
"$report" recall < "$work/samples.tsv" | tee "$work/recall.txt" | tail -n 1
echo "   rules not found whole by form (see $work/recall.txt for all):"
awk '$1 + 0 < 99 && NF > 3 { print "  ", $0 }' "$work/recall.txt" | sort -n | head -n 40

echo "== recall: the positive files of ripsecrets, a line each"
for file in "$positives"/one_per_line/*; do
    sed "s/^/$(basename "$file")\t/" "$file"
done > "$work/positives.tsv"
"$report" recall < "$work/positives.tsv"

echo "== false alarms: the negative file of ripsecrets"
"$report" alarms "$positives/none"

echo "== false alarms: the sources of our dependencies"
cargo vendor --quiet --locked "$work/vendor" > /dev/null
"$report" alarms "$work/vendor" > "$work/alarms-crates.txt"
tail -n 4 "$work/alarms-crates.txt"
echo "   of the findings of high confidence, armoured keys in test data: $(grep -c ':[0-9]* .*private-key$' "$work/alarms-crates.txt" || true)"

if command -v npm > /dev/null; then
    echo "== false alarms: npm packages"
    mkdir -p "$work/npm"
    for package in typescript next webpack three googleapis aws-sdk lodash date-fns rxjs; do
        (cd "$work/npm" && npm install --silent --no-audit --no-fund --ignore-scripts "$package" > /dev/null) ||
            echo "   (\`$package\` could not be fetched)"
    done
    "$report" alarms "$work/npm/node_modules" > "$work/alarms-npm.txt"
    tail -n 4 "$work/alarms-npm.txt"
    grep ':[0-9]* [a-z0-9-]*$' "$work/alarms-npm.txt" | head -n 20 || true
fi
