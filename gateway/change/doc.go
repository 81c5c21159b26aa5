// Package change brings a changed configuration file into a running gateway, and
// takes it back when it does not work out.
//
//	file ──load──▶ wrong ─────────────────────────▶ refused: nothing changes
//	               right ──apply──▶ on trial ──ok──▶ good, kept in the state
//	                                    └─ no link, fewer points ──▶ taken back
//
// A configuration is good when it was confirmed ([Changer.Reload] with a time), or
// has run for [goodAfter]. The last good one is kept in the gateway's state, so
// that [Start] can fall back to it: when the file is wrong, when a trial was cut
// short by a crash, or when the gateway was started [mostStarts] times with a
// configuration that never became good.
//
// Changes happen one after another: who holds the turn of a [Changer] may read
// files, wait for fsync and for the gateway's parts. There is no lock besides:
// status and health read what was last published, without waiting.
package change
