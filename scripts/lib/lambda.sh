# shellcheck shell=bash
# AWS' side of the functions on one machine: `cargo lambda watch` as gateway and Lambda, LocalStack's SQS, and the bridge between them.
# Sourced after tools.sh; reads PORT, URL and the settings of the engines.

CARGO_LAMBDA=1.9.2
# shellcheck disable=SC2034 # for the scripts that source this
FUNCTIONS=(ingest processor search tenants maintenance)
WATCH=
WATCH_LOG=$DATA/lambda-watch.log
WATCH_START_SECONDS=60 # Seen: one; it asks cargo for the workspace first, and cargo may be waiting for another.
WATCH_STOP_SECONDS=20

# start_watch: in a session of its own, so that Ctrl-C reaches it only through stop_watch.
# It starts a function at its first request, by `cargo run`: what is built already is up in a fraction of a second.
start_watch() {
  local deadline=$((SECONDS + WATCH_START_SECONDS))
  [[ ! -s $WATCH_LOG ]] || mv "$WATCH_LOG" "$WATCH_LOG.1"
  setsid "$CACHE/cargo-lambda-$CARGO_LAMBDA/bin/cargo-lambda" lambda watch --release --ignore-changes \
    --invoke-address 127.0.0.1 --invoke-port "$PORT" </dev/null >"$WATCH_LOG" 2>&1 &
  WATCH=$!
  until port_taken "$PORT"; do
    kill -0 "$WATCH" 2>/dev/null || fail_with_watch_log "cargo lambda watch did not start"
    ((SECONDS < deadline)) || fail_with_watch_log "cargo lambda watch did not listen within $WATCH_START_SECONDS s"
    sleep 0.1
  done
}

# stop_watch: it ends its functions by itself. If it does not end, it is killed, and they are: only what is seen to be ours.
stop_watch() {
  [[ -n $WATCH ]] || return 0
  local deadline=$((SECONDS + WATCH_STOP_SECONDS)) functions pid
  functions=$(children_of "$WATCH")
  kill -TERM "$WATCH" 2>/dev/null || true
  while kill -0 "$WATCH" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
  if kill -KILL "$WATCH" 2>/dev/null; then say "cargo lambda watch did not stop in $WATCH_STOP_SECONDS s and was killed"; fi
  for pid in $functions; do
    [[ $(readlink "/proc/$pid/exe") != "$(target_dir)"/release/* ]] || kill -KILL "$pid" || true
  done
  WATCH=
}

# children_of PID: those that have not ended.
children_of() {
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v parent="$1" '{ pid = $1; sub(/.*\) /, ""); if ($2 == parent && $1 != "Z") print pid }'
}

# await_either_end: until watch or the bridge has ended, and says which. A function that is killed stays away (seen in cargo-lambda
# 1.9.2): watch knows of it, does not start it again, and lets its requests wait for ever. So watch is then started anew.
await_either_end() {
  local before='' now pid
  while kill -0 "$WATCH" 2>/dev/null && kill -0 "$BRIDGE" 2>/dev/null; do
    now=$(children_of "$WATCH")
    for pid in $before; do
      [[ $'\n'$now$'\n' != *$'\n'$pid$'\n'* ]] || continue
      say "a function ended: cargo lambda watch is started anew"
      stop_watch
      start_watch
      now=
      break
    done
    before=$now
    sleep 1 &
    wait "$!" # which a signal can end
  done
  kill -0 "$WATCH" 2>/dev/null || fail_with_watch_log "cargo lambda watch ended by itself"
  tail -n 15 "$BRIDGE_LOG" >&2
  die "the bridge ended by itself; the last lines of $BRIDGE_LOG are above."
}

fail_with_watch_log() {
  tail -n 15 "$WATCH_LOG" >&2
  die "$1; the last lines of $WATCH_LOG are above."
}

# own_names WORD: names of its own in every engine, for functions that are not to meddle with others' logs: maintenance would else index
# and remove what belongs to other names. remove_own_names takes them away.
NAME=
own_names() {
  NAME=$1$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
  export LOGGERHUB_REDIS_PREFIX=$NAME: LOGGERHUB_INDEX_PREFIX=$NAME LOGGERHUB_S3_PREFIX=$NAME/ LOGGERHUB_POSTGRES_MAX_CONNECTIONS=2
  # LocalStack asks for credentials and takes any. A profile or session of a real account must not come in between.
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  unset AWS_PROFILE AWS_SESSION_TOKEN
  OWN_POSTGRES=$LOGGERHUB_CONTROL_DATABASE_URL
  psql -Xqd "$OWN_POSTGRES" -c "create database ${NAME}_control" -c "create database ${NAME}_logs"
  export LOGGERHUB_CONTROL_DATABASE_URL=${OWN_POSTGRES%/*}/${NAME}_control LOGGERHUB_LOGS_DATABASE_URL=${OWN_POSTGRES%/*}/${NAME}_logs
}

# remove_own_names: but for some kilobytes in Redis and in the object store.
remove_own_names() {
  [[ -n $NAME ]] || return 0
  psql -Xqd "$OWN_POSTGRES" -c "drop database if exists ${NAME}_control with (force)" -c "drop database if exists ${NAME}_logs with (force)" || true
  curl -sS -m 10 -o /dev/null -X DELETE "$LOGGERHUB_OPENSEARCH_URL/$NAME-*" || true
  curl -sS -m 10 -o /dev/null -X DELETE "$LOGGERHUB_OPENSEARCH_URL/_index_template/$NAME" || true
  NAME=
}

# aws_json SERVICE ACTION JSON: one call of a service that speaks JSON, such as `sqs AmazonSQS.ReceiveMessage`; prints the answer.
aws_json() {
  curl -fsS -m 30 --aws-sigv4 "aws:amz:$LOGGERHUB_S3_REGION:$1" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    -H "X-Amz-Target: $2" -H "Content-Type: application/x-amz-json-${4:-1.0}" -d "$3" "$LOGGERHUB_SQS_ENDPOINT/"
}

# sqs ACTION JSON
sqs() { aws_json sqs "AmazonSQS.$1" "$2"; }

# queue_url NAME: of a queue that localstack/infra.yaml makes. Not as SQS tells it: that may be a host which only its own DNS knows.
queue_url() { echo "$LOGGERHUB_SQS_ENDPOINT/000000000000/$1"; }

# operator_secret: the operator's token, from the secret that localstack/infra.yaml makes.
operator_secret() {
  aws_json secretsmanager secretsmanager.GetSecretValue '{"SecretId":"loggerhub"}' 1.1 | jq -r '.SecretString | fromjson | .operator_token'
}

BRIDGE=
BRIDGE_LOG=$DATA/bridge.log

# start_bridge: feeds processor and maintenance from the queues of localstack/infra.yaml.
start_bridge() {
  [[ ! -s $BRIDGE_LOG ]] || mv "$BRIDGE_LOG" "$BRIDGE_LOG.1"
  : >"$BRIDGE_LOG"
  LOGGERHUB_LOG=info setsid "$LOGGERHUB" bridge --invoke-url "$URL" --messages "$(queue_url loggerhub-bell)=processor" \
    --events "$(queue_url loggerhub-processor-minute)=processor" \
    --events "$(queue_url loggerhub-maintenance-minute)=maintenance" </dev/null >"$BRIDGE_LOG" 2>&1 &
  BRIDGE=$!
  for _ in {1..100}; do
    ! grep -q 'feeding functions' "$BRIDGE_LOG" || return 0
    kill -0 "$BRIDGE" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 15 "$BRIDGE_LOG" >&2
  die "the bridge did not start; the last lines of $BRIDGE_LOG are above."
}

stop_bridge() {
  [[ -n $BRIDGE ]] || return 0
  kill -TERM "$BRIDGE" 2>/dev/null || true
  wait "$BRIDGE" 2>/dev/null || true
  BRIDGE=
}

# sqs_event QUEUE: what SQS answered to ReceiveMessage, as the event that Lambda makes of it.
sqs_event() {
  jq --arg queue "arn:aws:sqs:$LOGGERHUB_S3_REGION:000000000000:$1" --arg region "$LOGGERHUB_S3_REGION" '{Records: [.Messages[] | {
    messageId: .MessageId, receiptHandle: .ReceiptHandle, body: .Body, attributes: .Attributes, messageAttributes: {},
    md5OfBody: .MD5OfBody, eventSource: "aws:sqs", eventSourceARN: $queue, awsRegion: $region}]}'
}

# schedule_event: what a rule of EventBridge sends every minute.
schedule_event() {
  jq -n --arg region "$LOGGERHUB_S3_REGION" '{version: "0", id: "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
    source: "aws.events", account: "000000000000", time: (now | todate), region: $region,
    resources: ["arn:aws:events:\($region):000000000000:rule/every-minute"], detail: {}}'
}

# stop_functions: whatever was started of them, and what they kept.
stop_functions() {
  stop_bridge
  stop_watch
  remove_own_names
}
