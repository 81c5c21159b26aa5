// Package release keeps the releases of the program that came over the air, beside
// the packaged one, and chooses which of them runs.
//
//	releases/slots.json            which one runs, which one is on trial, which are bad
//	releases/VERSION/fieldbridge   the program
//	releases/VERSION/release.json  its [Manifest], and release.json.minisig
//
// The packaged program starts, looks at slots.json and gives its place to a release
// ([Folder.Launch]): the process stays the same, so that a service manager sees one.
// It reads no configuration and no network. Whatever is not right, down to a damaged
// slots.json, makes the packaged program run itself: it is the last resort.
//
// A release is executed only if a root key signed its manifest and the file is what
// the manifest says, each time; and only if nobody but its user, or root, may write
// it. A trial is counted on disk before it begins, so that a crash, a watchdog and a
// power cut count alike.
package release
