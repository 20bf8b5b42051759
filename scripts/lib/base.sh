# shellcheck shell=bash
# What every script here stands on: where things lie, how to speak, how to install. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DATA=${LOGGERHUB_DATA:-$ROOT/.loggerhub}
[[ $DATA == /* ]] || DATA=$PWD/$DATA
CACHE=${LOGGERHUB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/loggerhub}
export LOGGERHUB_DATA=$DATA LOGGERHUB_CACHE=$CACHE

FREE_MB_NEEDED=2048 # A build and the engines' first files take about half of it.
APT_LOCK_SECONDS=600

say() { printf '%s: %s\n' "${SPEAKER:-${0##*/}}" "$*"; }
die() {
  say "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# need_space FOLDER: refuses to go on when its disk is nearly full.
need_space() {
  mkdir -p "$1"
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
  ((free >= FREE_MB_NEEDED)) ||
    die "only $free MB are free where $1 lies; at least $FREE_MB_NEEDED MB are needed. Free some space and try again."
}

# need_port_number WHAT VALUE
need_port_number() {
  if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || (($2 > 65535)); then die "$1 must be a port number, not '$2'"; fi
}

# port_taken PORT: whether something answers on it.
port_taken() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# with_progress WHAT COMMAND...: runs a long step quietly, with a sign of life every 20 s, and shows its last words if it fails.
# Locks (descriptors 8 and 9) are closed for it: a service that a package starts would hold them for ever.
with_progress() {
  local what=$1 log code=0 ticker began=$SECONDS
  shift
  log=$(mktemp)
  say "$what"
  (while sleep 20 >/dev/null 2>&1; do say "$what: still at it after $((SECONDS - began)) s"; done) 8>&- 9>&- &
  ticker=$!
  "$@" </dev/null >"$log" 2>&1 8>&- 9>&- || code=$?
  kill "$ticker"
  wait "$ticker" 2>/dev/null || true
  if ((code != 0)); then
    tail -n 20 "$log" >&2
    say "$what: failed with exit code $code; its last lines are above" >&2
  fi
  rm -f "$log"
  return "$code"
}

# install_packages NAME...: Debian packages, by sudo where we are not root.
install_packages() {
  (($# > 0)) || return 0
  has apt-get || die "please install what Debian calls: $*. This machine has no apt-get."
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o "DPkg::Lock::Timeout=$APT_LOCK_SECONDS")
  if ((EUID != 0)); then
    has sudo || die "please install these packages as root, there is no sudo here: apt-get install $*"
    apt=(sudo "${apt[@]}")
  fi
  with_progress "installing $* with apt" install_by "${apt[@]}" -- "$@" ||
    die "please install by hand, then try again: apt-get install $*"
}

# install_by APT... -- NAME...: package lists are fetched only when the ones at hand do not do.
install_by() {
  local apt=()
  while [[ $1 != -- ]]; do
    apt+=("$1")
    shift
  done
  shift
  "${apt[@]}" install -y --no-install-recommends "$@" ||
    { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"; }
}

# cached NAME BUILD...: makes $CACHE/NAME by `BUILD... FOLDER`, once for this user: whole or not at all, and never twice at a time.
cached() {
  local name=$1
  shift
  [[ -d $CACHE/$name ]] && return
  need_space "$CACHE"
  (
    flock -n 9 || { say "waiting for another checkout that makes $name" && flock 9; }
    [[ -d $CACHE/$name ]] && exit
    rm -rf "$CACHE/.making-$name."*
    making=$(mktemp -d "$CACHE/.making-$name.XXXXXX")
    trap 'rm -rf "$making"' EXIT
    "$@" "$making"
    chmod 755 "$making"
    mv -T "$making" "$CACHE/$name"
    trap - EXIT
  ) 9>"$CACHE/.$name.lock"
}

# python_tool FOLDER PACKAGE: a virtual environment with one package from PyPI.
python_tool() { python3 -m venv --clear "$1" && "$1/bin/python" -m pip install -q "$2"; }

# python_packages: what Debian leaves out of its Python and `python_tool` needs.
python_packages() {
  has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || printf '%s\n' python3 python3-venv
}
