# shellcheck shell=bash
# What building takes: Rust and a C compiler; tools from PyPI; and the engines' settings for what is built. Sourced after base.sh.

# What a server is built with: the manifest's small binaries are for functions (17 % more of loggerhub's CPU for a log were seen).
export CARGO_PROFILE_RELEASE_OPT_LEVEL=3

# need_rust: a cargo at least as new as the manifest's rust-version. We do not install a toolchain behind anyone's back.
need_rust() {
  local needed found
  has cargo || PATH=$PATH:$HOME/.cargo/bin
  needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$ROOT/Cargo.toml" | head -n 1)
  has cargo || die "Rust is missing: install $needed or newer from https://rustup.rs (or apt, if it is new enough), then try again."
  found=$(cargo --version | awk '{ print $2 }')
  printf '%s\n%s\n' "$needed" "$found" | sort -CV ||
    die "Rust $found is too old, $needed is needed: run 'rustup update stable', or install it from https://rustup.rs"
  has cc || install_packages build-essential
}

# need_component COMMAND NAME: a part of the toolchain that a minimal install leaves out.
need_component() {
  cargo "$1" --version >/dev/null 2>&1 || { has rustup && rustup component add "$2"; } ||
    die "'cargo $1' is missing: run 'rustup component add $2', or install the package of that name."
}

# pypi_tool NAME VERSION: a tool from PyPI, once for this user, in $CACHE/NAME-VERSION.
pypi_tool() {
  [[ ! -d $CACHE/$1-$2 ]] || return 0
  local lacking
  mapfile -t lacking < <(python_packages)
  install_packages "${lacking[@]}"
  cached "$1-$2" make_pypi_tool "$1==$2"
}
make_pypi_tool() { with_progress "fetching $1 from PyPI" python_tool "$2" "$1"; }

# target_dir: where cargo puts what it builds.
target_dir() {
  cargo metadata --format-version 1 --no-deps --manifest-path "$ROOT/Cargo.toml" |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# use_engines ENGINE...: starts them and takes over the settings that lead to them.
use_engines() {
  "$ROOT/scripts/engines" start "$@"
  local settings
  settings=$("$ROOT/scripts/engines" env "$@")
  eval "$settings"
}
