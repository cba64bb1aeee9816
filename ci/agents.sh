#!/usr/bin/env bash
# Real coding agents against a stand-in for their models on loopback: by themselves, and behind shieldrun.
#
#   ci/agents.sh                    installs all, runs all, prints a table; fails where one does not work behind, or
#                                   where its model, or the record, sees a real value that is not its key
#   ci/agents.sh claude codex       these cases of ci/agents/try.py
#   ci/agents.sh install claude …   installs these agents and runs nothing
#
# They come from npm and PyPI, in the versions below, into target/agents (about 2 GB; SHIELDRUN_AGENTS names another
# place). Nothing is said to any vendor: the agents run without a way out. Needs node 20, npm, git, openssl, unshare,
# zstd and Debian's python3.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly target=${CARGO_TARGET_DIR:-$PWD/target}
readonly place=${SHIELDRUN_AGENTS:-$target/agents}

# The agent, where it is from, and which.
readonly agents=(
  claude:npm:@anthropic-ai/claude-code@2.1.197
  codex:npm:@openai/codex@0.171.0
  gemini:npm:@google/gemini-cli@0.61.0
  opencode:npm:opencode-ai@1.18.33
  qwen:npm:@qwen-code/qwen-code@0.15.10
  aider:pip:aider-chat==0.86.2
  mini-swe-agent:list:ci/agents/mini-swe-agent.txt
)

die() { printf 'ci/agents.sh: %s\n' "$*" >&2; exit 1; }

# install NAME KIND WHAT: again only where something else is wanted.
install() {
  local name=$1 kind=$2 what=$3 at=$place/$1 wanted
  wanted="$kind $what"
  [[ $kind != list ]] || wanted+=" $(sha256sum <"$what")"
  [[ $(cat "$at/installed" 2>/dev/null) != "$wanted" ]] || return 0
  printf 'install %s\n' "$name" >&2
  rm -rf "$at"
  mkdir -p "$at"
  # Whoever asks whether this worked switches `set -e` off in here.
  case $kind in
    npm) npm install --prefix "$at" --no-fund --no-audit --no-save --loglevel=error "$what" >&2 ;;
    pip) /usr/bin/python3 -m venv "$at" && "$at/bin/python" -m pip install -q --disable-pip-version-check "$what" >&2 ;;
    list) /usr/bin/python3 -m venv "$at" && "$at/bin/python" -m pip install -q --disable-pip-version-check --no-deps -r "$what" >&2 ;;
  esac || return
  printf '%s\n' "$wanted" >"$at/installed"
}

only_install=
if [[ ${1:-} == install ]]; then only_install=yes; shift; fi
wanted=("$@")
for entry in "${agents[@]}"; do
  IFS=: read -r name kind what <<<"$entry"
  # A case is an agent, or an agent and a word: `claude-login`.
  for case in "${wanted[@]-$name}"; do
    if [[ $case == "$name" || $case == "$name-login" ]]; then
      install "$name" "$kind" "$what" || die "cannot install $name"
      break
    fi
  done
done
[[ -z $only_install ]] || exit 0
# Inside, `/tmp` is another one.
[[ $place != /tmp/* ]] || die "agents under /tmp are not seen inside: SHIELDRUN_AGENTS=/var/tmp/agents ci/agents.sh"
cargo build --locked --package shieldrun
exec env -u LD_PRELOAD /usr/bin/python3 ci/agents/try.py "$target/debug/shieldrun" "$place" "${wanted[@]}"
