#!/usr/bin/env bash
# journal.sh [PAIRS]: what the journal in shared memory costs: this checkout without one
# (old) beside itself with one (new), as whole gateways of 10 devices with 1,000 registers at
# 1 s, PAIRS (10) interleaved pairs. Needs mosquitto, openssl, and a tmpfs at /dev/shm.
set -euo pipefail
pairs=${1:-10}
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
memory=$(mktemp -d /dev/shm/fieldbridge-XXXXXX)
trap 'rm -rf "$dir" "$memory"' EXIT
mkdir "$dir/old" "$dir/new"
(cd .. && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$dir/fieldbridge" ./cmd/fieldbridge)
go build -o "$dir/edgebench" ./cmd/edgebench
scripts/make-certs.sh "$dir/work/certs"
for which in old new; do
  folder=$memory
  [ $which = new ] || folder=$dir # no tmpfs, so no journal
  printf '#!/bin/sh\nRUNTIME_DIRECTORY=%s exec %s "$@"\n' "$folder" "$dir/fieldbridge" >"$dir/$which/fieldbridge"
  chmod +x "$dir/$which/fieldbridge"
done
"$dir/edgebench" pairs -old "$dir/old" -new "$dir/new" -n "$pairs" -- -peer peers/fieldbridge -label journal \
  -work "$dir/work" -devices 10 -registers 1000 -measure "${MEASURE:-20s}" -port-offset "${OFFSET:-0}" 2>>"$dir/log" ||
  { tail "$dir/log"; exit 1; }
