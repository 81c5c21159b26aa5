// Package bridge is the domain of Fieldbridge and its two loops.
//
//	Source ──emit──▶ Collector ──Append──▶ Queue ──Next──▶ Forwarder ──Publish──▶ Link
//	(devices)        (filters, split)      (durable)       (pack, pace)           (cloud)
//	                                         ▲                                      │
//	                                         └──────── Ack · Release · Bury ────────┘
//
// A [Source] reads devices and emits one [Batch] per device and cycle. The
// [Collector] filters and splits batches and appends them to the [Queue], which
// numbers them and makes them safe. The [Forwarder] claims batches, packs them
// into messages by a [Format] and publishes them over the [Link] that a [Sink]
// provides; a batch leaves the queue only when the cloud has acknowledged it.
//
// The package imports the standard library alone: adapters import it, never the
// other way round.
package bridge
