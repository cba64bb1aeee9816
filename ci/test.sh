#!/usr/bin/env bash
# All tests with one command.
#
# As root it installs what is missing and runs the black-box suite twice: as root and as an ordinary user.
# As an ordinary user it says what is missing, and runs the suite as that user only.
#
#   ci/test.sh              everything
#   ci/test.sh blackbox     the black-box suite alone (words after it go to the test program)
set -euo pipefail
# In the background, or behind nohup, signals are ignored, and no shell can give them back to what it starts: tests of
# signals would wait for ever.
if [[ -z ${SHIELDRUN_TEST_SIGNALS-} ]]; then
  SHIELDRUN_TEST_SIGNALS=default exec env --default-signal=HUP,INT,QUIT,TERM bash "$0" "$@"
fi
cd "$(dirname "$0")/.."
readonly root=$PWD
readonly target=${CARGO_TARGET_DIR:-$root/target}
readonly test_user=shieldrun-test
scratch=

step() { printf '\n== %s\n' "$*"; }
die() { printf 'ci/test.sh: %s\n' "$*" >&2; exit 1; }
cleanup() { [[ -z $scratch ]] || rm -rf "$scratch"; }

# command: Debian package. Interpreters are looked for where Debian puts them: one of a version manager in
# somebody's home would be out of the ordinary user's reach.
readonly needs=(
  /usr/bin/bash:bash /usr/bin/bwrap:bubblewrap /usr/bin/cargo:cargo /usr/bin/cc:gcc /usr/bin/curl:curl /usr/bin/dash:dash
  /usr/bin/awk:mawk /usr/bin/git:git /usr/bin/make:make /usr/bin/mkfifo:coreutils /usr/bin/node:nodejs
  /usr/bin/npm:npm /usr/bin/openssl:openssl /usr/bin/perl:perl /usr/bin/ps:procps /usr/bin/psql:postgresql-client
  /usr/bin/python3:python3 /usr/bin/setpriv:util-linux /usr/bin/ssh-keygen:openssh-client /usr/sbin/sshd:openssh-server /usr/bin/unshare:util-linux
  /usr/bin/wget:wget /usr/bin/xxd:xxd
)

# What is not there, as packages; the C library's static half and Python's venv are no commands.
missing_packages() {
  local entry package packages=()
  for entry in "${needs[@]}"; do
    package=${entry#*:}
    [[ -x ${entry%%:*} ]] || packages+=("$package")
  done
  compgen -G '/usr/lib/*/libc.a' >/dev/null || compgen -G '/usr/lib*/libc.a' >/dev/null || packages+=(libc6-dev)
  compgen -G '/usr/lib/*/libjemalloc.so.2' >/dev/null || packages+=(libjemalloc2)
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
  [[ -x /usr/bin/javac ]] || packages+=(default-jdk-headless)
  /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
  if ((${#packages[@]})); then printf '%s\n' "${packages[@]}" | sort -u; fi
}

set_up_packages() {
  local packages
  mapfile -t packages < <(missing_packages)
  ((${#packages[@]})) || return 0
  local install="apt-get install --no-install-recommends ${packages[*]}"
  [[ $EUID == 0 ]] || die "missing: ${packages[*]}; install them with: sudo $install"
  command -v apt-get >/dev/null || die "missing: ${packages[*]} (Debian's names); install them and start again"
  step "install ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  mapfile -t packages < <(missing_packages)
  ((${#packages[@]} == 0)) || die "still missing after the installation: ${packages[*]}"
}

set_up_rust() {
  [[ ! -f $HOME/.cargo/env ]] || . "$HOME/.cargo/env"
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  command -v cargo >/dev/null || die "no cargo: install Rust $wanted or later for $(id -un), see https://rustup.rs"
  # A distribution's may be years old, and says only that it cannot read the manifest.
  found=$(cargo --version | cut -d ' ' -f 2)
  [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]] ||
    die "$(command -v cargo) is $found, too old: install Rust $wanted or later for $(id -un), see https://rustup.rs"
  cargo fmt --version >/dev/null 2>&1 || add_component rustfmt
  cargo clippy --version >/dev/null 2>&1 || add_component clippy
}

add_component() {
  command -v rustup >/dev/null || die "no $1: install it from where $(command -v cargo) is from"
  rustup component add "$1" || die "no $1: rustup component add $1"
}

# The client libraries that must take a synthetic for what it looks like. Kept between runs.
set_up_clients() {
  local venv=$target/clients list=$root/ci/clients.txt
  if ! cmp -s "$list" "$venv/installed"; then
    step "install the client libraries"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$list"
    cp "$list" "$venv/installed"
  fi
}

# The agents that are quick to run. Kept between runs.
set_up_agents() {
  SHIELDRUN_AGENTS=$target/agents ci/agents.sh install claude mini-swe-agent
}

check_style() {
  step "format"
  cargo fmt --all -- --check
  step "clippy"
  cargo clippy --workspace --all-targets --locked -- -D warnings
}

check_dependencies() {
  step "dependencies: licences, sources, duplicates, advisories"
  if ! cargo deny --version >/dev/null 2>&1; then
    CARGO_TARGET_DIR=$target/cargo-deny cargo install cargo-deny --locked --quiet ||
      die "cannot install cargo-deny; do it by hand: cargo install cargo-deny --locked"
    rm -rf "$target/cargo-deny"
  fi
  cargo deny --locked check bans licenses sources
  # The advisories come from a git host: where that is out of reach there is nothing to compare with.
  if timeout 60 git ls-remote --quiet https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
    cargo deny --locked check advisories
  else
    echo "advisories: not checked, the database is out of reach"
  fi
}

unit_tests() {
  step "unit tests"
  cargo test --workspace --locked --no-fail-fast --lib --bins --examples
  cargo test --workspace --locked --no-fail-fast --doc
  # The integration tests of the other crates; the black-box suite is the launcher's and comes on its own.
  cargo test --workspace --locked --no-fail-fast --exclude shieldrun --test '*'
}

# test_program NAME OPTION…: builds one of the launcher's test programs and prints where it is.
test_program() {
  cargo test --package shieldrun --locked "${@:2}" --no-run --message-format=json |
    /usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"] and message["target"]["name"] == sys.argv[1]:
        print(message["executable"])' "$1"
}

# What the suite needs, in a place that every user can reach and that is not under /tmp, which is private inside.
prepare_scratch() {
  scratch=$(mktemp -d /var/tmp/shieldrun-test.XXXXXX)
  # Parts run in a subshell, which has its own end.
  trap cleanup EXIT
  chmod 755 "$scratch"
  local suite
  suite=$(test_program blackbox --test blackbox)
  [[ -x $suite ]] || die "the suite was not built"
  install -m 755 "$suite" "$scratch/blackbox"
  install -m 755 "$target/debug/shieldrun" "$scratch/shieldrun"
  cp -a "$target/clients" "$scratch/clients"
  mkdir "$scratch/agents"
  cp -a "$target/agents/claude" "$target/agents/mini-swe-agent" "$scratch/agents/"
  chmod -R go+rX "$scratch/clients" "$scratch/agents"
}

# run_suite USER COMMAND...: COMMAND changes to that user. The environment is made anew: nothing of the
# caller's, a credential least of all, may decide how a test ends.
run_suite() {
  local name=$1
  shift
  step "black-box suite as $name"
  local work=$scratch/$name
  mkdir -p "$work/home" "$work/worlds"
  [[ $name != "$test_user" ]] || chown -R "$test_user:" "$work"
  local threads=${SHIELDRUN_TEST_THREADS:-$(nproc)}
  (
    cd "$work"
    "$@" env -i \
      HOME="$work/home" USER="$name" LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin ${CI:+CI="$CI"} \
      ${SHIELDRUN_STRESS:+SHIELDRUN_STRESS="$SHIELDRUN_STRESS"} \
      SHIELDRUN_BIN="$scratch/shieldrun" SHIELDRUN_TEST_DIR="$work/worlds" \
      SHIELDRUN_TEST_PYTHON="$scratch/clients/bin/python" SHIELDRUN_TEST_AGENTS="$scratch/agents" \
      "$scratch/blackbox" --test-threads="$threads" "${suite_arguments[@]}" </dev/null
  )
}

# What is closed to its owner is not closed to root, so the unit tests of diff and promotion run as the other, too.
as_an_owner() {
  step "unit tests of diff and promotion as $test_user"
  local program work=$scratch/units
  program=$(test_program shieldrun --bin shieldrun)
  [[ -x $program ]] || die "the unit tests were not built"
  install -m 755 "$program" "$scratch/unit-tests"
  mkdir -p "$work"
  chown "$test_user:" "$work"
  (cd "$work" && "${as_user[@]}" env -i HOME="$work" TMPDIR="$work" PATH=/usr/local/bin:/usr/bin:/bin \
    ${CI:+CI="$CI"} "$scratch/unit-tests" changes:: promote:: </dev/null)
}

black_box() {
  step "build the suite"
  prepare_scratch
  local failed=()
  if [[ $EUID == 0 ]]; then
    # As distributions have it: the masks that tell are to be tested as the ordinary user too.
    [[ -z ${CI:-} || ! -c /dev/fuse ]] || chmod 0666 /dev/fuse
    id -u "$test_user" >/dev/null 2>&1 || useradd --system --no-create-home "$test_user"
    # A server of ssh that a test starts runs what it is asked in the user's shell.
    usermod --shell /bin/sh "$test_user"
    local as_user=(setpriv --reuid "$test_user" --regid "$(id -g "$test_user")" --clear-groups)
    [[ $only != all ]] || as_an_owner || failed+=("$test_user, unit tests")
    run_suite "$test_user" "${as_user[@]}" || failed+=("$test_user")
    run_suite root env || failed+=(root)
  else
    run_suite "$(id -un)" env || failed+=("$(id -un)")
  fi
  ((${#failed[@]} == 0)) || die "the black-box suite failed as: ${failed[*]}"
}

# One part after the other whatever became of those before: a run of the CI shows all that is wrong.
failures=()
part() {
  set +e
  (set -e; "$@")
  local code=$?
  set -e
  ((code == 0)) || failures+=("$*")
}

suite_arguments=()
only=${1:-all}
if (($# > 1)); then suite_arguments=("${@:2}"); fi

set_up_packages
set_up_rust
set_up_clients
set_up_agents
case $only in
  all)
    part check_style
    part check_dependencies
    part unit_tests
    part black_box
    ;;
  blackbox) part black_box ;;
  *) die "unknown word \`$only\`; expected nothing or \`blackbox\`" ;;
esac
((${#failures[@]} == 0)) || die "failed: ${failures[*]}"
step "all passed"
