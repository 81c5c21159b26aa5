"""Sensors that publish numbered readings with QoS 1 and write down what was acknowledged.

usage: sensors.py ACKED_FILE COUNT RATE SECONDS [PREFIX]

COUNT devices s0, s1 ... (PREFIX0, PREFIX1 ...) of one client publish 0, 1, 2 ... on hall/sN/temperature, RATE messages
a second in all, for SECONDS.
Each acknowledged one becomes a line "sN VALUE" in ACKED_FILE. After a broken connection what was not acknowledged is
sent again, as the standard asks of a client with a persistent session.
"""
import sys
import threading
import time

import paho.mqtt.client as mqtt

acked_file, count, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
prefix = sys.argv[5] if len(sys.argv) > 5 else "s"
acked = open(acked_file, "w", buffering=1)
lock = threading.Lock()
pending = {}  # message id -> line
early = set()  # acknowledged before publish() had returned its id


def note(mid):
    with lock:
        line = pending.pop(mid, None)
        if line is None:
            early.add(mid)
        else:
            acked.write(line)


# MQTT 3.1.1, the version that most sensors speak.
client = mqtt.Client(client_id="sensors-" + prefix, clean_session=False, protocol=mqtt.MQTTv311)
client.max_inflight_messages_set(200)
client.max_queued_messages_set(0)
client.reconnect_delay_set(min_delay=1, max_delay=1)
client.on_publish = lambda _c, _u, mid: note(mid)
client.connect("127.0.0.1", 1883)
client.loop_start()

start, sent = time.monotonic(), 0
while time.monotonic() - start < seconds:
    due = int((time.monotonic() - start) * rate)
    while sent < due:
        device, value = f"{prefix}{sent % count}", sent // count
        info = client.publish(f"hall/{device}/temperature", str(value), qos=1)
        with lock:
            line = f"{device} {value}\n"
            if info.mid in early:
                early.discard(info.mid)
                acked.write(line)
            else:
                pending[info.mid] = line
        sent += 1
    time.sleep(0.005)

# What is still on its way gets half a minute.
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    with lock:
        if not pending:
            break
    time.sleep(0.05)
client.disconnect()
client.loop_stop()
print(f"sent {sent}, unacknowledged {len(pending)}", flush=True)
