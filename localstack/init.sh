#!/usr/bin/env bash
# Makes the AWS side (infra.yaml) in a LocalStack that runs: init.sh [ENDPOINT]. Done already: nothing to do.
# The native engines call it; the container runs it by itself, from /etc/localstack/init/ready.d.
set -euo pipefail

endpoint=${1:-http://127.0.0.1:4566}
template=${LOGGERHUB_INFRA:-$(dirname "${BASH_SOURCE[0]}")/infra.yaml}
stack=loggerhub-infra
wait_seconds=90 # Seen: a few seconds.

cloudformation() {
  curl -sS -m 30 --aws-sigv4 aws:amz:us-east-1:cloudformation --user test:test "$endpoint/" \
    -d Version=2010-05-15 -d "Action=$1" -d "StackName=$stack" "${@:2}"
}

answer=$(cloudformation CreateStack --data-urlencode "TemplateBody@$template")
if [[ $answer != *"<StackId>"* && $answer != *AlreadyExists* ]]; then
  echo "the stack $stack was refused: $answer" >&2
  exit 1
fi

until [[ $answer == *"<StackStatus>CREATE_COMPLETE</StackStatus>"* ]]; do
  if [[ $answer == *_FAILED* || $answer == *ROLLBACK* ]] || ((SECONDS > wait_seconds)); then
    echo "the stack $stack was not made: $answer" >&2
    exit 1
  fi
  sleep 0.3
  answer=$(cloudformation DescribeStacks)
done
