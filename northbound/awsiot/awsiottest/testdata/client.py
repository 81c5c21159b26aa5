# An independent MQTT 5 client (Eclipse Paho for Python) for the stand-in's
# tests. Prints one JSON object with what it saw.
import json
import ssl
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, ca, cert, key, name = int(sys.argv[1]), *sys.argv[2:6]
seen = {"messages": [], "suback": []}
changed = threading.Condition()


def note(update):
    with changed:
        update()
        changed.notify_all()


def wait(ready):
    with changed:
        if not changed.wait_for(ready, 5):
            print(json.dumps(seen))
            sys.exit("timeout")


def on_connect(client, userdata, flags, reason, properties):
    note(lambda: seen.update(connack=reason.value, present=flags["session present"], properties=properties.json()))


def on_subscribe(client, userdata, mid, reasons, properties):
    note(lambda: seen["suback"].append([r.value for r in reasons]))


def on_message(client, userdata, m):
    note(lambda: seen["messages"].append([m.topic, m.payload.decode(), m.qos, m.properties.json()]))


def on_disconnect(client, userdata, reason, properties=None):
    note(lambda: seen.update(disconnect=reason if isinstance(reason, int) else reason.value))


def client():
    c = mqtt.Client(client_id=name, protocol=mqtt.MQTTv5)
    c.tls_set(ca, cert, key, cert_reqs=ssl.CERT_REQUIRED)
    c.on_connect, c.on_subscribe, c.on_message, c.on_disconnect = on_connect, on_subscribe, on_message, on_disconnect
    return c


c = client()
properties = Properties(PacketTypes.CONNECT)
properties.SessionExpiryInterval = 600000
c.connect("localhost", port, keepalive=10, clean_start=True, properties=properties)
c.loop_start()
wait(lambda: "connack" in seen)
c.subscribe("plant/#", 1)
wait(lambda: seen["suback"])
properties = Properties(PacketTypes.PUBLISH)
properties.ContentType = "application/json"
properties.ResponseTopic = "answers"
properties.CorrelationData = b"42"
properties.UserProperty = ("k", "v")
c.publish("plant/1", '{"v":1}', 1, properties=properties)
wait(lambda: seen["messages"])
c.publish("plant/a/b/c/d/e/f/g/h/i", "x", 0)
wait(lambda: "disconnect" in seen)
c.loop_stop()
print(json.dumps(seen))
