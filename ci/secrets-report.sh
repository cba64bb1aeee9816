#!/usr/bin/env bash
# Recall and false alarms of the secrets engine, on data that others published.
#
#   ci/secrets-report.sh [DIRECTORY]      keeps what it fetches in DIRECTORY (default: a temporary one)
#
# Recall: samples drawn from the rules of the crate `kingfisher-rules`, by rule and by class (`form`: the issuer gives its
# credentials a prefix or shape; `loose`: the rule would have anything), and the positive files of the crate `ripsecrets`.
# False alarms of the detector and of the leak scan: its negative file, the sources of the registry's crates and npm packages.
# Last the long run of the property tests, 10,000 cases a kind (`SHIELDRUN_CASES` for another number, 0 for none).
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
"$report" recall < "$work/samples.tsv" > "$work/recall.txt"
cat "$work/recall.txt"
echo "   below 99 % by form:"
awk '$1 + 0 < 99 && $3 ~ /\// { print "  ", $0 }' "$work/recall.txt" | sort -n

echo "== recall: the positive files of ripsecrets, a line each"
for file in "$positives"/one_per_line/*; do
    sed "s/^/$(basename "$file")\t/" "$file"
done > "$work/positives.tsv"
"$report" recall < "$work/positives.tsv"

echo "== false alarms: the negative file of ripsecrets"
"$report" alarms "$positives/none"

# Findings of high confidence that are no false alarms: keys that load, in the tests of cryptographic packages.
alarms() {
    local name=$1
    shift
    echo "== false alarms: $name"
    "$report" alarms "$@" > "$work/alarms-$name.txt"
    tail -n 4 "$work/alarms-$name.txt"
    local keys others
    keys=$(grep -c ':[0-9]* .*private-key$' "$work/alarms-$name.txt" || true)
    others=$(grep ':[0-9]* [a-z0-9-]*$' "$work/alarms-$name.txt" | grep -vc 'private-key$' || true)
    echo "   of high confidence: $keys armoured private keys in test data, $others others:"
    grep ':[0-9]* [a-z0-9-]*$' "$work/alarms-$name.txt" | grep -v 'private-key$' | head -n 20 || true
    echo "== alarms of the leak scan with 10,000 secrets: $name"
    "$report" leaks "$@"
}

# The packages of other detectors are full of what they look for.
cargo vendor --quiet --locked "$work/vendor" > /dev/null
mapfile -t crates < <(find "$work/vendor" -mindepth 1 -maxdepth 1 ! -name 'kingfisher*' ! -name 'ripsecrets*')
alarms crates "${crates[@]}"

if command -v npm > /dev/null; then
    mkdir -p "$work/npm"
    for package in typescript next webpack three googleapis aws-sdk lodash date-fns rxjs; do
        (cd "$work/npm" && npm install --silent --no-audit --no-fund --ignore-scripts "$package" > /dev/null) ||
            echo "   (\`$package\` could not be fetched)"
    done
    alarms npm "$work/npm/node_modules"
fi

cases=${SHIELDRUN_CASES:-10000}
if [ "$cases" -gt 0 ]; then
    echo "== the promises of every kind, $cases cases each"
    SHIELDRUN_CASES=$cases cargo test --quiet --release --package shieldrun-secrets --lib every_
fi
