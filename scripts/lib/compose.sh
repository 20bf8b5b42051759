# shellcheck shell=bash
# Engines as containers, by compose.yaml. Sourced after native.sh, whose description of each engine it uses to try it from outside.

# A project for each data folder, so that two checkouts do not share containers.
COMPOSE_PROJECT_NAME=loggerhub-$(printf %s "$DATA" | sha256sum | head -c 8)
export COMPOSE_PROJECT_NAME

compose() { docker compose -f "$ROOT/compose.yaml" "$@"; }

docker_answers() {
  has docker && timeout 5 docker compose version >/dev/null 2>&1 && timeout 5 docker info >/dev/null 2>&1
}

# compose_look: which services run, asked once: each question to Docker costs a third of a second.
compose_look() { COMPOSE_UP=" $(compose ps --services --status running 2>/dev/null | tr '\n' ' ' || true) "; }
compose_pid() {
  [[ -v COMPOSE_UP ]] || compose_look
  [[ $COMPOSE_UP == *" $1 "* ]]
}

# Ports of what runs already stay as they are; compose would else make the container anew.
export_ports() {
  local name
  for name in "${ALL_ENGINES[@]}"; do
    declare -gx "$(port_variable "$name")=$(engine_port "$name")"
  done
}

compose_start() {
  docker_answers || die "LOGGERHUB_ENGINES=compose, but no Docker engine with the compose plugin answers."
  has curl || install_packages curl
  local name
  for name in "$@"; do (
    load "$name"
    compose_pid "$name" || refuse_taken_port
  ); done
  export_ports
  say "docker compose up: $*"
  compose up --detach --wait --wait-timeout "$READY_SECONDS" "$@" </dev/null 8>&- ||
    die "docker compose did not bring them up; look at: docker compose -p $COMPOSE_PROJECT_NAME logs"
  for name in "$@"; do (
    load "$name"
    mkdir -p "$ENGINE_DIR"
    echo "$PORT" >"$ENGINE_DIR/port"
    case $name in
      postgres | redis) say "started, ready on 127.0.0.1:$PORT" ;; # tried inside, by their health checks
      *)
        compose logs "$name" >"$ENGINE_DIR/log" 2>&1 || true
        # shellcheck disable=SC2317 # await_ready asks it; the container was seen to run
        is_running() { :; }
        await_ready "started"
        ;;
    esac
  ); done
}

compose_stop() {
  export_ports
  compose stop "$@" 8>&-
}

compose_wipe() {
  local name
  export_ports
  compose rm --stop --force "$@" 8>&-
  for name in "$@"; do
    docker volume rm --force "${COMPOSE_PROJECT_NAME}_$name" >/dev/null
    rm -rf "$(engine_dir "$name")"
  done
}
