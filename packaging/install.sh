#!/bin/sh
# Installs fieldbridge from this folder: ./install.sh. Run again, that of a later version
# upgrades and that of an earlier one goes back. ./install.sh ROOT installs into the
# root of an image.
set -e
cd "$(dirname "$0")"
root=${1:-}
file=/etc/fieldbridge/fieldbridge.yaml
put() { # MODE FILE TARGET
	mkdir -p "$root$(dirname "$3")"
	cp "$2" "$root$3.new" && chmod "$1" "$root$3.new" && mv -f "$root$3.new" "$root$3"
}
if [ -z "$root" ]; then
	[ "$(id -u)" = 0 ] || { echo "run it as root" >&2; exit 1; }
	./fieldbridge version || { echo "this program is for another processor than $(uname -m)" >&2; exit 1; }
	if [ -x /sbin/procd ]; then
		: # there is no adduser, and it runs as root
	elif ! grep -q '^fieldbridge:' /etc/passwd; then
		if command -v useradd >/dev/null; then
			useradd --system --no-create-home --home-dir /var/lib/fieldbridge --shell /usr/sbin/nologin fieldbridge
			usermod -a -G dialout fieldbridge || true # serial ports
		else
			adduser -S -D -H -h /var/lib/fieldbridge -s /sbin/nologin fieldbridge
			addgroup fieldbridge dialout || true
		fi
	fi
	# What root does there before the first start (identity csr) is the gateway's then.
	[ -x /sbin/procd ] || [ -d /var/lib/fieldbridge ] || { mkdir -p /var/lib/fieldbridge && chmod 700 /var/lib/fieldbridge &&
		chown fieldbridge: /var/lib/fieldbridge; }
fi

put 755 fieldbridge /usr/bin/fieldbridge
if [ -d "$root/usr/lib/systemd/system" ] || [ -d "$root/lib/systemd/system" ]; then
	put 644 fieldbridge.service /etc/systemd/system/fieldbridge.service
	put 644 fieldbridge-power-fail.service /etc/systemd/system/fieldbridge-power-fail.service
	[ -n "$root" ] || systemctl daemon-reload
	running="systemctl --quiet is-active fieldbridge"
	restart="systemctl restart fieldbridge"
	start="systemctl enable --now fieldbridge"
elif [ -x "$root/sbin/procd" ]; then
	put 755 fieldbridge.procd /etc/init.d/fieldbridge
	running="/etc/init.d/fieldbridge running"
	restart="/etc/init.d/fieldbridge restart"
	start="/etc/init.d/fieldbridge enable && /etc/init.d/fieldbridge start"
elif [ -x "$root/sbin/openrc-run" ]; then
	put 755 fieldbridge.openrc /etc/init.d/fieldbridge
	running="rc-service --quiet fieldbridge status"
	restart="rc-service fieldbridge restart"
	start="rc-update add fieldbridge && rc-service fieldbridge start"
else
	put 755 fieldbridge.sysv /etc/init.d/fieldbridge
	running="/etc/init.d/fieldbridge status"
	restart="/etc/init.d/fieldbridge restart"
	start="/etc/init.d/fieldbridge start"
fi

if [ ! -e "$root$file" ]; then
	put 644 fieldbridge.yaml "$file"
	echo "fieldbridge is installed and does not run yet. Next:"
	echo "  fieldbridge init $file --force   # asks what it must know; or edit that file"
	echo "  fieldbridge check $file"
	echo "  $start"
elif [ -z "$root" ] && $running >/dev/null 2>&1; then
	if ! fieldbridge check "$file" >/dev/null 2>&1; then
		echo "fieldbridge still runs as it was before: this version refuses its configuration."
		echo "'fieldbridge check $file' says why. Then: $restart"
	elif fieldbridge status "$file" --json 2>/dev/null | grep -Eq '"(on_trial_until|release_on_trial)"'; then
		echo "fieldbridge still runs as it was before: a change of it is on trial, which a restart would cut short."
		echo "When the trial is over: $restart"
	else
		$restart
	fi
fi
