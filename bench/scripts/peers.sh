#!/usr/bin/env bash
# peers.sh [OLD]: this checkout and the commit OLD (268a91e) beside Telegraf, mosquitto's bridge, mqmgateway
# and a bare loop, on the same loads, in turn; prints the table in Markdown. Everything lies in bin/peers.
#   COUNT=5       runs of each program on each load; MEASURE=20s  window of a run
#   WHICH=REGEX   these loads alone (A, B, C-2k, A-400, ...: bench/cmd/edgebench/contests.go)
#   FOR=45m       begin no run after this time; CONTINUE=1  go on where an earlier call was stopped
#   OFFSET=1000   added to every port, where others use them
#   QUICK=1       one short run of each, to see that all works; TELEGRAF=  leaves Telegraf out
# Needs git, mosquitto, openssl. Telegraf is built from the Go module proxy (TELEGRAF=VERSION), with the plugins
# that are used alone; modmqttd (mqmgateway) is taken from PATH. What is not there is named in the table.
set -euo pipefail
old=${1:-268a91e}
cd "$(dirname "$0")/../.."
dir=$PWD/bin/peers
mkdir -p "$dir/old" "$dir/now" "$dir/bin"
work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2>/dev/null || true; rm -rf "$work"' EXIT
export CGO_ENABLED=0

if [ "$(cat "$dir/old/commit" 2>/dev/null)" != "$(git rev-parse "$old")" ]; then
  git worktree add --quiet --detach "$work/tree" "$old"
  make -s -C "$work/tree" build BIN="$dir/old/fieldbridge" VERSION="$(git rev-parse --short "$old")" >&2
  git rev-parse "$old" >"$dir/old/commit"
fi
make -s build BIN="$dir/now/fieldbridge" VERSION="$(git describe --always --dirty)" >&2
go -C bench build -o "$dir/bin/" ./cmd/edgebench ./cmd/limit

# Telegraf is a program apart: it is built outside of any module, and only once.
telegraf=${TELEGRAF-v1.37.2}
if [ -n "$telegraf" ] && [ "$(cat "$dir/bin/telegraf.version" 2>/dev/null)" != "$telegraf" ]; then
  plugins=custom,inputs.modbus,inputs.mqtt_consumer,outputs.mqtt,parsers.json,serializers.json
  if GOBIN=$dir/bin go install -ldflags "-s -w -X github.com/influxdata/telegraf/internal.Version=${telegraf#v}" \
    -tags "$plugins" "github.com/influxdata/telegraf/cmd/telegraf@$telegraf" >"$dir/telegraf.log" 2>&1; then
    echo "$telegraf" >"$dir/bin/telegraf.version"
  else
    echo "Telegraf $telegraf could not be built and is left out, see $dir/telegraf.log" >&2
  fi
fi
[ -n "$telegraf" ] || rm -f "$dir"/bin/telegraf*
modmqttd=$(command -v modmqttd || true)
[ -z "$modmqttd" ] || ln -sf "$modmqttd" "$dir/bin/modmqttd"

bench/scripts/make-certs.sh "$work/certs" 2>"$work/certs.log" || { cat "$work/certs.log" >&2; exit 1; }
results=$dir/results.jsonl
[ -n "${CONTINUE:-}" ] || rm -f "$results"
"$dir/bin/edgebench" peers -before "$dir/old" -now "$dir/now" -bin "$dir/bin" -peers bench/peers -work "$work" \
  -out "$results" -n "${COUNT:-5}" -measure "${MEASURE:-20s}" -which "${WHICH:-.}" -for "${FOR:-0}" \
  ${OFFSET:+-port-offset "$OFFSET"} ${QUICK:+-quick} 2> >(grep -v 'Mosquitto should not be run as root' >&2) | tee "$dir/table.md"
echo "results: $results, table: $dir/table.md" >&2
