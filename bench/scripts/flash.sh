#!/usr/bin/env bash
# flash.sh OLD [SECONDS]: what the queue asks of its disk, this checkout beside the commit
# OLD: writes, bytes and syncs by strace, bytes by the kernel's count, bytes and flushes of
# the device, with the cloud away and with it there. Each load runs twice SECONDS (30).
# WHICH is a regular expression on the loads' names. As root the queue lies on an ext4 file
# system of its own in a file, and its device is counted. Needs git, mosquitto, openssl, strace.
set -euo pipefail
old=${1:?commit to compare with} seconds=${2:-30}
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
clean() {
  git worktree remove --force "$dir/tree" 2>/dev/null || true
  umount "$dir/disk" 2>/dev/null || true
  rm -rf "$dir"
}
trap clean EXIT
build() { (cd "$1" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$2" ./cmd/fieldbridge); }
git worktree add --quiet --detach "$dir/tree" "$old"
mkdir -p "$dir/old" "$dir/new" "$dir/disk"
build "$dir/tree" "$dir/old/fieldbridge"
build .. "$dir/new/fieldbridge"
go build -o "$dir/edgebench" ./cmd/edgebench
scripts/make-certs.sh "$dir/work/certs"
if [ "$(id -u)" = 0 ]; then
  truncate -s 2G "$dir/image"
  mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$dir/image"
  mount -o loop "$dir/image" "$dir/disk"
fi
head=-head
while read -r name flags; do
  for build in old new; do
    [[ $name-$build =~ ${WHICH:-.} ]] || continue
    rm -rf "$dir/disk/queue"
    # shellcheck disable=SC2086
    "$dir/edgebench" flash $head -label "$name, $build" -bin "$dir/$build" -work "$dir/work" -data "$dir/disk/queue" \
      -port-offset "${OFFSET:-0}" -measure "${seconds}s" ${OUT:+-out "$OUT"} $flags 2>>"$dir/log" || { tail "$dir/log"; exit 1; }
    head=
  done
done <<END
sensors-1k-outage -outage -sensors 100 -rate 1000
sensors-5k-outage -outage -sensors 100 -rate 5000
polls-1k-outage -outage -devices 10 -registers 100
polls-10k-outage -outage -devices 10 -registers 1000
sensors-1k-online -sensors 100 -rate 1000
sensors-5k-online -sensors 100 -rate 5000
sensors-5k-columns-online -sensors 100 -rate 5000 -set format=columns
polls-1k-online -devices 10 -registers 100
polls-10k-online -devices 10 -registers 1000
END
