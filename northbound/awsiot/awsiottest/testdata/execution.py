# An independent MQTT 5 client (Eclipse Paho for Python) that carries out one
# execution of AWS IoT Commands. Prints "ready" when it listens, and then one
# JSON object with what it saw.
import json
import ssl
import sys
import threading

import paho.mqtt.client as mqtt

port, ca, cert, key, name = int(sys.argv[1]), *sys.argv[2:6]
base = f"$aws/commands/things/{name}/executions/"
seen = {"suback": [], "messages": []}
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


c = mqtt.Client(client_id=name, protocol=mqtt.MQTTv5)
c.tls_set(ca, cert, key, cert_reqs=ssl.CERT_REQUIRED)
c.on_connect = lambda client, userdata, flags, reason, properties: note(lambda: seen.update(connack=reason.value))
c.on_subscribe = lambda client, userdata, mid, reasons, properties: note(lambda: seen["suback"].append([r.value for r in reasons]))
c.on_message = lambda client, userdata, m: note(lambda: seen["messages"].append([m.topic.removeprefix(base), json.loads(m.payload)]))
c.connect("localhost", port, keepalive=30, clean_start=True)
c.loop_start()
wait(lambda: "connack" in seen)
for filters in [["+/request/json", "+/response/accepted/json", "+/response/rejected/json"], ["+/request/+"], ["#"]]:
    n = len(seen["suback"])
    c.subscribe([(base + f, mqtt.SubscribeOptions(qos=1)) for f in filters])
    wait(lambda: len(seen["suback"]) > n)
print("ready", flush=True)
wait(lambda: seen["messages"])
execution = seen["messages"][0][0].split("/")[0]
for update in [{"status": "IN_PROGRESS"}, {"status": "DONE"},
               {"status": "SUCCEEDED", "statusReason": {"reasonCode": "lower case"}},
               {"status": "SUCCEEDED", "statusReason": {"reasonCode": "OK", "reasonDescription": "all well"}, "result": {"x": {"s": "1"}}},
               {"status": "IN_PROGRESS"}]:
    n = len(seen["messages"])
    c.publish(base + execution + "/response/json", json.dumps(update), 1)
    wait(lambda: len(seen["messages"]) > n)
n = len(seen["messages"])
c.publish(base + "nobody/response/json", '{"status":"FAILED"}', 1)
wait(lambda: len(seen["messages"]) > n)
seen["id"] = execution
c.disconnect()
c.loop_stop()
print(json.dumps(seen))
