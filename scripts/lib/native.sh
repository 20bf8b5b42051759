# shellcheck shell=bash
# Engines as plain processes of this machine. Sourced after engines.sh.
#
# Each file in engines.d/ describes one engine by functions, and is loaded into a subshell of its own:
#   packages  the Debian packages that it still lacks, one a line
#   prepare   puts what it needs into the cache
#   launch    starts it, through `detach`
#   check     does one real thing with it; fails until it can
#   finish    (optional) what is to be done once it answers
#   erase     (optional) removes data that lies outside its folder

load() {
  ENGINE=$1
  SPEAKER=$1
  ENGINE_DIR=$(engine_dir "$1")
  PORT=$(engine_port "$1")
  STOP_SIGNAL=TERM
  finish() { :; }
  erase() { :; }
  # shellcheck source=/dev/null
  source "$ROOT/scripts/engines.d/$1.sh"
}

# started_at PID: clock ticks since boot; with the pid, a name that no other process can have.
started_at() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != Z ]] && echo "${fields[19]}"
}

# native_pid ENGINE: prints it if the process that we started is alive; a recycled pid is not it.
native_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$(engine_dir "$1")/pid" || return 1
  [[ -n $started && $(started_at "$pid") == "$started" ]] && echo "$pid"
}

# detach COMMAND...: a process that outlives this shell and holds none of its files open. A signal to this shell waits until
# the pid is written down, so that nothing runs that `stop` does not know.
detach() {
  local pid interrupted='' new=$ENGINE_DIR/pid.new
  rm -f "$ENGINE_DIR/pid" "$new"
  trap 'interrupted=yes' INT TERM
  # shellcheck disable=SC2016 # expanded by the shell that is started
  setsid bash -c 'echo "$$" >"$0"; cd /; exec "$@"' "$new" "$@" </dev/null >>"$ENGINE_DIR/log" 2>&1 8>&- 9>&- &
  for _ in {1..500}; do
    [[ ! -s $new ]] || break
    sleep 0.02
  done
  pid=$(<"$new")
  echo "$PORT" >"$ENGINE_DIR/port"
  echo "$pid $(started_at "$pid" || echo 0)" >"$ENGINE_DIR/pid"
  rm -f "$new"
  trap - INT TERM
  [[ -z $interrupted ]] || exit 130
}

native_start() {
  local name code=0
  local -a lacking
  mapfile -t lacking < <(native_packages "$@" | sort -u)
  install_packages "${lacking[@]}"
  WORKERS=()
  set -m # Gives each worker a process group, so that Ctrl-C can end it with its children.
  trap end_workers INT TERM
  for name in "$@"; do
    native_start_one "$name" &
    WORKERS+=("$!")
  done
  for name in "${WORKERS[@]}"; do wait "$name" || code=1; done
  trap - INT TERM
  set +m
  return "$code"
}

end_workers() {
  local worker
  exec 2>/dev/null # bash would tell of each
  for worker in "${WORKERS[@]}"; do kill -- "-$worker" || true; done
  wait
  exit 130
}

# native_packages ENGINE...: what Debian packages those that do not run yet still lack.
native_packages() {
  local engine
  for engine in "$@"; do
    if ! native_pid "$engine" >/dev/null; then (load "$engine" && packages); fi
  done
}

native_start_one() {
  load "$1"
  mkdir -p "$ENGINE_DIR"
  if native_pid "$1" >/dev/null; then
    await_ready "was running already"
    [[ $(wanted_port "$1") == "$PORT" ]] || say "stop it first to move it to port $(wanted_port "$1")"
    return
  fi
  need_space "$ENGINE_DIR"
  refuse_taken_port
  prepare
  launch
  await_ready "started"
}

refuse_taken_port() {
  ! port_taken "$PORT" ||
    die "port $PORT is taken by another process. Stop that, or choose another port with $(port_variable "$ENGINE")=NUMBER."
}

await_ready() {
  local deadline=$((SECONDS + READY_SECONDS))
  until check >/dev/null 2>&1; do
    is_running "$ENGINE" || fail_with_log "ended by itself"
    ((SECONDS < deadline)) || fail_with_log "did not become ready in $READY_SECONDS s"
    sleep 0.3
  done
  finish || die "runs, but could not be set up."
  say "$1, ready on 127.0.0.1:$PORT"
}

fail_with_log() {
  tail -n 15 "$ENGINE_DIR/log" >&2
  die "$1; the last lines of $ENGINE_DIR/log are above."
}

native_stop() {
  local name pid
  for name in "$@"; do
    (
      pid=$(native_pid "$name") || exit 0
      load "$name"
      kill -s "$STOP_SIGNAL" "$pid"
      for _ in {1..600}; do
        native_pid "$name" >/dev/null || break
        sleep 0.1
      done
      if native_pid "$name" >/dev/null; then
        say "did not end in 60 s and is killed"
        kill -KILL -- "-$pid"
      fi
      rm -f "$ENGINE_DIR/pid" "$ENGINE_DIR/port"
      say "stopped"
    ) &
  done
  wait
}

native_wipe() {
  local name
  for name in "$@"; do
    (
      load "$name"
      erase
      rm -rf "$ENGINE_DIR"
      say "data removed"
    )
  done
}
