"""An MQTT 3.1.1 sensor that keeps its session and publishes COUNT messages of 100 KB with QoS 1.

usage: fill.py ACKED_FILE PORT COUNT

Each acknowledged one becomes a line with its number in ACKED_FILE. It ends when all are acknowledged.
"""
import base64
import json
import os
import sys
import threading

import paho.mqtt.client as mqtt

acked = open(sys.argv[1], "w", buffering=1)
port, count = int(sys.argv[2]), int(sys.argv[3])
lock = threading.Lock()
numbers, early = {}, set()
done = threading.Event()


def note(number):
    acked.write(f"{number}\n")
    note.count += 1
    if note.count == count:
        done.set()


note.count = 0
losses = 0


def on_publish(_client, _userdata, mid):
    with lock:
        if mid in numbers:
            note(numbers.pop(mid))
        else:
            early.add(mid)  # before publish() has returned its id


def on_disconnect(_client, _userdata, rc):
    global losses
    losses += rc != 0


client = mqtt.Client(client_id="three", clean_session=False, protocol=mqtt.MQTTv311)
client.max_inflight_messages_set(5)
client.max_queued_messages_set(0)
client.reconnect_delay_set(min_delay=1, max_delay=1)
client.on_publish = on_publish
client.on_disconnect = on_disconnect
client.connect("127.0.0.1", port)
client.loop_start()
for number in range(count):
    # Random, so that it can't be compressed.
    texts = {f"t{i}": base64.b64encode(os.urandom(750)).decode() for i in range(100)}
    info = client.publish("fill/three", json.dumps({"n": number, **texts}), qos=1)
    with lock:
        if info.mid in early:
            early.discard(info.mid)
            note(number)
        else:
            numbers[info.mid] = number
if not done.wait(120):
    sys.exit(f"{count - note.count} messages were not acknowledged")
client.disconnect()
client.loop_stop()
print(f"all acknowledged, {losses} connections lost", flush=True)
