// Package fetch brings a file that a signed order names by its size and SHA-256: block
// by block over the session that there is (AWS IoT developer guide, "MQTT-based file
// delivery"), or from an https address. Where it comes from need not be trusted.
//
//	order ─▶ Fetch ─▶ get 1-8 blocks ─▶ SHA.part, SHA.map ─▶ all there, SHA-256 right ─▶ SHA
//	           ▲           │ one request in flight              (again after a restart)
//	           └── as long a pause; longer while fresh readings wait
//
// Blocks are lost, doubled and come in any order; what misses is asked for again. What
// is on disk outlives the process: the map says which blocks are there. A file takes no
// more than half of what the link gives and of what the uplink may have, and waits
// while fresh readings do.
//
// One file is fetched at a time. The mutex guards which connection there is, and is
// never held over the disk or the network.
package fetch
