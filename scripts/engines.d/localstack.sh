# shellcheck shell=bash
# LocalStack: the AWS side of the bell. It keeps nothing over a stop; its queues are made anew at every start.

packages() {
  has curl || echo curl
  python_packages
}

# best_python: prints "VERSION PATH" of the best one for it; nothing if there is none.
best_python() {
  local version path
  for version in 3.13 3.12 3.11; do
    for path in "$(command -v "python$version")" "$HOME"/.pyenv/versions/"$version".*/bin/"python$version" /usr/bin/"python$version"; do
      if [[ -x $path ]] && "$path" -c 'import ssl, sqlite3' 2>/dev/null; then
        echo "$version $path"
        return
      fi
    done
  done
}

# describe_localstack: the last release that needs no token on Python 3.12 and newer; on 3.11 the last that works there.
describe_localstack() {
  local found
  found=$(best_python)
  read -r PYTHON_VERSION PYTHON <<<"${found:-3.12 3.12}" # With none, uv fetches one.
  if [[ $PYTHON_VERSION == 3.11 ]]; then
    RELEASE=4.7.0 AS_OF=2025-10-01
  else
    RELEASE=4.14.0 AS_OF=2026-03-05
  fi
  VENV=localstack-$RELEASE-python$PYTHON_VERSION
}

prepare() {
  describe_localstack
  [[ -d $CACHE/$VENV ]] || cached uv python_tool_with_progress uv
  cached "$VENV" make_localstack
  mkdir -p "$ENGINE_DIR/data"
}
python_tool_with_progress() { with_progress "fetching $1 from PyPI" python_tool "$2" "$1"; }

# Its dependencies are taken as of a day when they fitted: it pins few of them.
make_localstack() {
  with_progress "fetching LocalStack $RELEASE from PyPI" make_venv "$1"
}
make_venv() {
  local uv=$CACHE/uv/bin/uv
  "$uv" venv --python "$PYTHON" --clear "$1" &&
    "$uv" pip install --python "$1/bin/python" --exclude-newer "$AS_OF" "localstack-core[runtime]==$RELEASE"
}

launch() {
  detach env SKIP_SSL_CERT_DOWNLOAD=1 DISABLE_EVENTS=1 GATEWAY_LISTEN="127.0.0.1:$PORT" LOCALSTACK_HOST="127.0.0.1:$PORT" \
    SQS_ENDPOINT_STRATEGY=dynamic FILESYSTEM_ROOT="$ENGINE_DIR/data" \
    SERVICES=sqs,sns,s3,events,secretsmanager,cloudformation,sts \
    "$CACHE/$VENV/bin/python" -m localstack.runtime.main
}

# aws SERVICE PARAMETER=VALUE...: one call of a query API.
aws() {
  local service=$1 parameters=() parameter
  for parameter in "${@:2}"; do parameters+=(--data-urlencode "$parameter"); done
  curl -fsS -m 20 --aws-sigv4 "aws:amz:$REGION:$service" --user test:test "${parameters[@]}" "http://127.0.0.1:$PORT/"
}

# Its health page says healthy on a broken install; a queue is made to know.
check() {
  aws sqs Action=CreateQueue QueueName=start-check &&
    aws sqs Action=DeleteQueue "QueueUrl=http://127.0.0.1:$PORT/000000000000/start-check"
}

finish() { "$ROOT/localstack/init.sh" "http://127.0.0.1:$PORT"; }
