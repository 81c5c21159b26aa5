package journal

import "testing"

func TestOwnMount(t *testing.T) {
	const mounts = `20 1 0:18 / / rw - overlay overlay rw
21 20 0:19 / /run rw,nosuid - tmpfs tmpfs rw
22 21 0:20 /gateways/a /run/fieldbridge rw - tmpfs tmpfs rw
23 20 0:21 / /with\040space rw - tmpfs tmpfs rw
24 20 0:22 /x /over rw - tmpfs tmpfs rw
25 20 0:23 / /over rw - tmpfs tmpfs rw
short
`
	for dir, own := range map[string]bool{
		"/run/other": true, "/run": true, "/run/fieldbridge": false, "/run/fieldbridge/a": false, "/runway": true,
		"/with space/a": true, "/over/a": true, "/..a": true,
	} {
		if got := ownMount(mounts, dir); got != own {
			t.Errorf("%s: %v, want %v", dir, got, own)
		}
	}
	if ownMount("", "/run") {
		t.Error("without mounts")
	}
}
