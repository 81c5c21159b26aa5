// Package remote is what the cloud may ask of a gateway: commands, by a topic, by
// AWS IoT Commands or by the desired state of a shadow, and the report into that
// shadow.
//
// A command is carried out at most once, whatever becomes of this process: its id
// is on disk before anything happens. One goroutine, that of [Commander.Run],
// decides and acts; a connection only brings requests and takes answers, and none
// of its handlers waits.
package remote
