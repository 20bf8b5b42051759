# shellcheck shell=bash
# Redis: on disk before it answers, never evicting, because the queue lives here.

packages() { has redis-server && has redis-cli || echo redis-server; }

prepare() {
  local version
  version=$(redis-server --version | sed -n 's/.*v=\([0-9.]*\).*/\1/p')
  ((${version%%.*} >= 7)) || die "Redis $version is too old, 7.0 or newer is needed; see https://redis.io/docs/install"
  mkdir -p "$ENGINE_DIR/data"
}

launch() {
  local listen=(--port "$PORT")
  [[ -z $TLS ]] || listen=(--port 0 --tls-port "$PORT" --tls-cert-file "$TLS/cert.pem" --tls-key-file "$TLS/key.pem" --tls-ca-cert-file "$TLS/ca.pem" --tls-auth-clients no)
  detach "$(command -v redis-server)" --bind 127.0.0.1 "${listen[@]}" --protected-mode yes --dir "$ENGINE_DIR/data" \
    --appendonly yes --appendfsync always --save '' --maxmemory-policy noeviction
}

redis() {
  local how=()
  [[ -z $TLS ]] || how=(--tls --cacert "$TLS/ca.pem")
  redis-cli -h 127.0.0.1 -p "$PORT" "${how[@]}" "$@"
}

check() {
  [[ $(redis set loggerhub:start-check here ex 60) == OK && $(redis get loggerhub:start-check) == here ]] &&
    [[ $(redis config get appendfsync | tail -n 1) == always ]]
}
