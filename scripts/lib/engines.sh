# shellcheck shell=bash
# The engines by name: their ports, their folders, and the settings that lead to them. Sourced after base.sh.

ENGINES_DATA=$DATA/engines
ALL_ENGINES=(postgres redis opensearch object-store localstack)
TLS=${LOGGERHUB_ENGINES_TLS:-} # Folder of ca.pem, cert.pem and key.pem: then Redis, Postgres and the object store speak TLS.
READY_SECONDS=240 # The slowest first start seen, on two busy cores, took a quarter of it.

# One login for all: these engines answer on loopback only and hold nothing but a developer's data.
ENGINE_USER=loggerhub
ENGINE_SECRET=loggerhub-secret # The object store refuses fewer than eight characters.
BUCKET=loggerhub-raw
REGION=us-east-1

engine_dir() { echo "$ENGINES_DATA/$1"; }

port_variable() {
  local upper=${1^^}
  echo "LOGGERHUB_${upper//-/_}_PORT"
}

default_port() {
  case $1 in
    postgres) echo 15432 ;;
    redis) echo 16379 ;;
    opensearch) echo 19200 ;;
    object-store) echo 19000 ;;
    localstack) echo 14566 ;;
    *) die "no engine is called '$1'; there are: ${ALL_ENGINES[*]}" ;;
  esac
}

# wanted_port ENGINE: what the environment asks for.
wanted_port() {
  local variable port
  variable=$(port_variable "$1")
  port=${!variable:-$(default_port "$1")}
  need_port_number "$variable" "$port"
  echo "$port"
}

# engine_port ENGINE: where it runs, or would run.
engine_port() {
  local file
  file=$(engine_dir "$1")/port
  if [[ -s $file ]] && is_running "$1"; then cat "$file"; else wanted_port "$1"; fi
}

print_env() {
  local url=127.0.0.1 s=${TLS:+s} postgres
  postgres=postgres://$ENGINE_USER:$ENGINE_USER@$url:$(engine_port postgres)
  cat <<EOF
export LOGGERHUB_REDIS_URL=redis$s://$url:$(engine_port redis)/0
export LOGGERHUB_CONTROL_DATABASE_URL=$postgres/loggerhub${TLS:+?sslmode=verify-full}
export LOGGERHUB_LOGS_DATABASE_URL=$postgres/loggerhub_processor_db${TLS:+?sslmode=verify-full}
export LOGGERHUB_OPENSEARCH_URL=http://$url:$(engine_port opensearch)
export LOGGERHUB_S3_ENDPOINT=http$s://$url:$(engine_port object-store)
export LOGGERHUB_S3_BUCKET=$BUCKET
export LOGGERHUB_S3_REGION=$REGION
export LOGGERHUB_S3_ACCESS_KEY_ID=$ENGINE_USER
export LOGGERHUB_S3_SECRET_ACCESS_KEY=$ENGINE_SECRET
EOF
  [[ -z $TLS ]] || echo "export LOGGERHUB_CA_FILE=$TLS/ca.pem"
  if [[ " $* " == *" localstack "* ]] || is_running localstack; then
    echo "export LOGGERHUB_SQS_ENDPOINT=http://$url:$(engine_port localstack)"
  fi
}
