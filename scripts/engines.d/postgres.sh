# shellcheck shell=bash
# PostgreSQL, Debian's or whatever is on PATH; two databases and a role that may make more.

STOP_SIGNAL=INT # "Fast": ends connections, writes a checkpoint.
DATABASES=(loggerhub loggerhub_processor_db)

postgres_bin() {
  local newest
  newest=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
  [[ -x $newest ]] || newest=$(command -v postgres) || return 1
  dirname "$newest"
}

packages() { postgres_bin >/dev/null || echo postgresql; }

# The server refuses to run as root, so root lends it a user.
account() { if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }
as_owner() {
  if ((EUID == 0)); then
    setpriv --reuid="$(account)" --regid="$(id -g "$(account)")" --clear-groups env HOME=/ "$@"
  else
    "$@"
  fi
}

# A checkout in a folder that this user cannot enter (say, under /root) keeps its data outside.
outside_dir() { echo "/var/lib/loggerhub/postgres-$(printf %s "$ENGINE_DIR" | sha256sum | head -c 12)"; }
data_dir() {
  if [[ -d $(outside_dir) ]]; then outside_dir; else echo "$ENGINE_DIR/data"; fi
}

prepare() {
  local dir
  if ! as_owner test -x "$ENGINE_DIR" && [[ ! -d $(outside_dir) ]]; then
    mkdir -p "$(outside_dir)"
    say "user $(account) cannot enter $ENGINE_DIR: the data lies in $(outside_dir)"
  fi
  dir=$(data_dir)
  [[ -s $dir/cluster/PG_VERSION ]] || make_cluster "$dir"
}

make_cluster() {
  local dir=$1
  mkdir -p "$dir"
  rm -rf "$dir/making"
  mkdir -m 700 "$dir/making"
  printf '%s\n' "$ENGINE_USER" >"$dir/password"
  if ((EUID == 0)); then chown -R "$(account)" "$dir"; fi
  (cd / && as_owner "$(postgres_bin)/initdb" --pgdata="$dir/making" --username=postgres --pwfile="$dir/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8) >>"$ENGINE_DIR/log" 2>&1 || fail_with_log "initdb failed"
  rm -f "$dir/password"
  mv -T "$dir/making" "$dir/cluster"
}

launch() {
  local ssl=()
  if [[ -n $TLS ]]; then
    # It wants a key that nobody else can read.
    install -m 600 "$TLS/cert.pem" "$TLS/key.pem" "$(data_dir)/cluster/"
    if ((EUID == 0)); then chown "$(account)" "$(data_dir)"/cluster/{cert,key}.pem; fi
    ssl=(-c ssl=on -c ssl_cert_file=cert.pem -c ssl_key_file=key.pem)
  fi
  detach_as_owner "$(postgres_bin)/postgres" -D "$(data_dir)/cluster" \
    -c listen_addresses=127.0.0.1 -c port="$PORT" -c unix_socket_directories= \
    -c max_connections=300 -c shared_buffers=256MB -c max_wal_size=2GB "${ssl[@]}"
}

detach_as_owner() {
  if ((EUID == 0)); then
    detach setpriv --reuid="$(account)" --regid="$(id -g "$(account)")" --clear-groups env HOME=/ "$@"
  else
    detach "$@"
  fi
}

sql() {
  local how=()
  [[ -z $TLS ]] || how=(PGSSLMODE=verify-full "PGSSLROOTCERT=$TLS/ca.pem")
  env PGPASSWORD="$ENGINE_USER" PGCONNECT_TIMEOUT=5 "${how[@]}" "$(postgres_bin)/psql" -h 127.0.0.1 -p "$PORT" -v ON_ERROR_STOP=1 -XqtA "$@"
}

check() {
  sql -U postgres -d postgres -f "$ROOT/scripts/engines.d/postgres.sql" || return
  local name
  for name in "${DATABASES[@]}"; do
    [[ $(sql -U "$ENGINE_USER" -d "$name" -c 'select 1') == 1 ]] || return
  done
}

erase() {
  rm -rf "$(outside_dir)"
}
