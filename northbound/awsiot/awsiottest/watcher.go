package awsiottest

import (
	"crypto/x509"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// oldest returns the oldest version of MQTT that is spoken. Watchers may speak
// 3.1.1 (AWS takes it of all clients). A gateway speaks 5, to be told what a
// message is refused for.
func oldest(o Options) byte {
	if o.Watchers {
		return 4
	}
	return 5
}

// admit makes a certificate of our CA that is not known one that may watch.
func admit(c *Cloud, leaf *x509.Certificate, id string) {
	if c.options.Watchers && c.status(id) == "" && leaf.CheckSignatureFrom(c.ca.cert) == nil {
		c.SetStatus(id, registry.Active)
	}
}

// watches reports whether a CONNECT is of one who only looks: a client that is not
// called as its certificate's thing and leaves no last will, or that speaks MQTT
// 3.1.1.
func watches(c *Cloud, cl *mochi.Client, pk packets.Packet, thing string) bool {
	return c.options.Watchers && (old(cl) || cl.ID != thing && !pk.Connect.WillFlag)
}

// old reports whether a client speaks MQTT 3.1.1: it cannot be told why.
func old(cl *mochi.Client) bool { return cl.Properties.ProtocolVersion < 5 }

// mayWatch reports whether an action is one of those that change nothing.
func mayWatch(action string) bool { return action != "iot:Publish" && action != "iot:RetainPublish" }
