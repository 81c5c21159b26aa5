#!/usr/bin/env bash
# compare.sh OLD [PAIRS]: this checkout beside the commit OLD, as whole gateways:
# PAIRS (10) interleaved pairs of each load, and the ratios new/old. WHICH is a
# regular expression on the loads' names. Needs git, mosquitto, openssl, strace.
set -euo pipefail
old=${1:?commit to compare with} pairs=${2:-10}
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/tree" 2>/dev/null || true; rm -rf "$dir"' EXIT
build() { (cd "$1" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$2" ./cmd/fieldbridge); }
git worktree add --quiet --detach "$dir/tree" "$old"
mkdir -p "$dir/old" "$dir/new"
build "$dir/tree" "$dir/old/fieldbridge"
build .. "$dir/new/fieldbridge"
go build -o "$dir/edgebench" ./cmd/edgebench
scripts/make-certs.sh "$dir/work/certs"
while read -r name flags; do
  [[ $name =~ ${WHICH:-.} ]] || continue
  echo "== $name: $flags"
  # shellcheck disable=SC2086
  "$dir/edgebench" pairs -old "$dir/old" -new "$dir/new" -n "$pairs" -- \
    -peer peers/fieldbridge -label "$name" -work "$dir/work" $flags 2>>"$dir/log" || { tail "$dir/log"; exit 1; }
done <<END
A -devices 10 -registers 1000 -measure ${MEASURE:-20s}
B -devices 10 -registers 20 -measure ${MEASURE:-20s}
C-2k -sensors 200 -rate 2000 -measure ${MEASURE:-20s}
C-10k -sensors 200 -rate 10000 -measure ${MEASURE:-20s}
A-calls -devices 10 -registers 1000 -measure ${MEASURE:-20s} -syscalls
C-2k-calls -sensors 200 -rate 2000 -measure ${MEASURE:-20s} -syscalls
END
