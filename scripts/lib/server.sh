# shellcheck shell=bash
# The server that scripts/run starts, waits for and stops. Sourced after base.sh; reads LOGGERHUB (the binary), URL and PORT.

SERVER=
SERVER_LOG=$DATA/loggerhub.log
SERVER_READY_SECONDS=60 # It connects to four engines that answer already; seconds, unless the machine is swamped.
SERVER_STOP_SECONDS=40  # It finishes what is in hand first.

refuse_taken_port() {
  ! port_taken "$PORT" || die "port $PORT is taken by another process: choose another with 'scripts/run --port NUMBER'."
}

# keep_operator_token FILE: takes the operator's token from it, or makes one and writes it there. Nobody else may ever read the file.
keep_operator_token() {
  local token=''
  mkdir -p "$DATA"
  if [[ -e $1 ]]; then
    chmod 600 "$1"
    token=$(sed -n "s/^export LOGGERHUB_OPERATOR_TOKEN=['\"]\{0,1\}\([^'\"]*\).*/\1/p" "$1" | tail -n 1)
  fi
  if [[ -z $token ]]; then
    token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "export LOGGERHUB_OPERATOR_TOKEN=$token" >>"$1")
  fi
  export LOGGERHUB_OPERATOR_TOKEN=$token
}

# start_server: in a process group of its own, so that Ctrl-C reaches it only through stop_server.
start_server() {
  local deadline=$((SECONDS + SERVER_READY_SECONDS))
  [[ ! -s $SERVER_LOG ]] || mv "$SERVER_LOG" "$SERVER_LOG.1"
  setsid "$LOGGERHUB" serve </dev/null >"$SERVER_LOG" 2>&1 &
  SERVER=$!
  until curl -fs -m 5 -o /dev/null "$URL/readyz"; do
    kill -0 "$SERVER" 2>/dev/null || fail_with_server_log "the server did not start"
    ((SECONDS < deadline)) ||
      fail_with_server_log "the server was not ready in $SERVER_READY_SECONDS s; it says: $(curl -s -m 5 "$URL/readyz")"
    sleep 0.2
  done
}

# stop_server: SIGTERM, then time to finish; only the process that start_server started, which is our child.
stop_server() {
  [[ -n $SERVER ]] || return 0
  local deadline=$((SECONDS + SERVER_STOP_SECONDS))
  kill -TERM "$SERVER" 2>/dev/null || return 0
  while kill -0 "$SERVER" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
  if kill -KILL "$SERVER" 2>/dev/null; then
    say "the server did not stop in $SERVER_STOP_SECONDS s and was killed"
  else
    say "the server has stopped"
  fi
}

fail_with_server_log() {
  tail -n 15 "$SERVER_LOG" >&2
  die "$1; the last lines of $SERVER_LOG are above."
}
