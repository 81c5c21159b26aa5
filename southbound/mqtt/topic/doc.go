// Package topic reads MQTT topic filters (MQTT 5, section 4.7) in which {name}
// stands for one level and captures it, and templates that are filled in with
// what was captured. It does no input or output, and its values never change
// once they are made: they may be used concurrently.
package topic
