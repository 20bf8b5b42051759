# shellcheck shell=bash
# AWS' side of the functions on one machine: `cargo lambda watch` as gateway and Lambda, and SQS. Sourced after tools.sh; reads
# PORT, URL and the settings of the engines.

CARGO_LAMBDA=1.9.2
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

children_of() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent="$1" '{ pid = $1; sub(/.*\) /, ""); if ($2 == parent) print pid }'
}

fail_with_watch_log() {
  tail -n 15 "$WATCH_LOG" >&2
  die "$1; the last lines of $WATCH_LOG are above."
}

# sqs ACTION JSON: one call of SQS; prints the answer.
sqs() {
  curl -fsS -m 30 --aws-sigv4 "aws:amz:$LOGGERHUB_S3_REGION:sqs" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    -H "X-Amz-Target: AmazonSQS.$1" -H 'Content-Type: application/x-amz-json-1.0' -d "$2" "$LOGGERHUB_SQS_ENDPOINT/"
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
