# An independent MQTT 5 client (Eclipse Paho for Python, and Python's own TLS)
# that tries line after line of AWS's behaviour. Prints one JSON object: line to
# what it saw.
import json
import socket
import ssl
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

port, strict, ca, cert, key, name = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:7]
seen = {}


def context(with_cert=True, alpn=None):
    c = ssl.create_default_context(cafile=ca)
    if with_cert:
        c.load_cert_chain(cert, key)
    if alpn:
        c.set_alpn_protocols([alpn])
    return c


def handshake(c, to, server_name="localhost"):
    """Reports whether the server keeps a connection after the handshake."""
    try:
        with socket.create_connection(("localhost", to), 5) as raw, c.wrap_socket(raw, server_hostname=server_name) as s:
            s.settimeout(0.3)
            try:
                return s.recv(1) != b""  # a server that waits says nothing
            except TimeoutError:
                return s.version() + (" " + s.selected_alpn_protocol() if s.selected_alpn_protocol() else "")
    except OSError as e:
        return type(e).__name__ if isinstance(e, ConnectionError) else "refused"


class Client:
    def __init__(self, client_id=name, clean=True, keepalive=60, will=None, **properties):
        self.changed = threading.Condition()
        self.ack = self.reason = self.code = None
        self.subacks, self.messages, self.published = [], [], 0
        c = self.c = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5)
        c.tls_set_context(context())
        c.on_connect = lambda _, __, flags, code, p: self.note(ack=(flags, p.json() if p else {}), code=code.value)
        c.on_disconnect = self.disconnected
        c.on_subscribe = lambda _, __, mid, codes, p: self.note(append=(self.subacks, [x.value for x in codes]))
        c.on_message = lambda _, __, m: self.note(append=(self.messages, m))
        c.on_publish = lambda *_: self.note(published=self.published + 1)
        if will:
            c.will_set(will, "gone", 1)
        p = Properties(PacketTypes.CONNECT)
        for k, v in properties.items():
            setattr(p, k, v)
        c.connect("localhost", port, keepalive=keepalive, clean_start=clean, properties=p)
        c.loop_start()
        self.wait(lambda: self.ack or self.reason is not None)

    def disconnected(self, client, userdata, code, p=None):
        client._thread_terminate = True  # else it would connect again
        self.note(reason=code if isinstance(code, int) else code.value)

    def note(self, append=None, **what):
        with self.changed:
            if append:
                append[0].append(append[1])
            for k, v in what.items():
                if k != "reason" or self.reason is None:
                    setattr(self, k, v)
            self.changed.notify_all()

    def wait(self, ready, seconds=5.0):
        with self.changed:
            return self.changed.wait_for(ready, seconds)

    def subscribe(self, *filters, qos=1, properties=None):
        n = len(self.subacks)
        self.c.subscribe([(f, SubscribeOptions(qos=qos)) for f in filters], properties=properties)
        self.wait(lambda: len(self.subacks) > n or self.reason is not None, 2)
        return self.subacks[-1] if len(self.subacks) > n else self.ended(0)

    def publish(self, topic, payload="x", qos=1, retain=False, **properties):
        n = self.published
        p = Properties(PacketTypes.PUBLISH)
        for k, v in properties.items():
            setattr(p, k, v)
        self.c.publish(topic, payload, qos, retain, properties=p)
        self.wait(lambda: self.published > n or self.reason is not None)

    def ended(self, seconds=5.0):
        self.wait(lambda: self.reason is not None, seconds)
        return self.reason

    def got(self, n=1, seconds=5.0):
        self.wait(lambda: len(self.messages) >= n, seconds)
        return [[m.topic, m.payload.decode()] for m in self.messages]

    def close(self):
        self.c.disconnect()
        self.ended(2)  # else loop_stop waits for a second
        self.c.loop_stop()

    def cut(self):
        self.c._thread_terminate = True
        self.c._sock.shutdown(socket.SHUT_RDWR)


def line(n, f):
    try:
        seen[n] = f()
    except Exception as e:  # noqa: a failure is a finding
        seen[n] = repr(e)


def versions():
    out = []
    for v in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context()
        c.set_ciphers("ALL:@SECLEVEL=0")
        c.minimum_version = c.maximum_version = v
        out.append(handshake(c, port))
    return out


def takeover():
    a = Client(will="wills/a")
    w = Client("watcher")
    w.subscribe("wills/#")
    b = Client()
    out = [a.ended(), w.got()]
    a.c.loop_stop()
    b.close(), w.close()
    return out


def sessions():
    a = Client("kept", SessionExpiryInterval=600)
    a.subscribe("offline/1")
    a.cut()
    time.sleep(0.3)
    b = Client("sender")
    b.publish("offline/1", "one")
    b.publish("offline/1", "nothing", qos=0)
    b.close()
    a = Client("kept", clean=False, SessionExpiryInterval=600)
    out = [a.ack[0]["session present"], a.got(2, 1)]
    a.close()
    return out


def wills():
    w = Client("watcher")
    w.subscribe("wills/#")
    a = Client("a", will="wills/clean")
    a.close()
    b = Client("b", will="wills/cut")
    b.cut()
    out = w.got(2, 1)
    w.close()
    return out


def receive():
    a = Client()
    out = a.subscribe("secret/#", "open/#", "closed/#")
    a.publish("secret/1")
    a.publish("open/1")
    out = [out, a.got()]
    a.close()
    return out


def filters():
    a, b = Client(), None
    out = [a.subscribe(*[f"f/{i}" for i in range(8)])]
    out.append(a.subscribe(*[f"g/{i}" for i in range(9)]))
    a.c.loop_stop()
    b = Client()
    for i in range(50):
        b.subscribe(f"h/{i}")
    out.append(b.subscribe("h/50"))
    b.close()
    return out


def ends(f):
    c = Client()
    f(c)
    code = c.ended()
    c.c.loop_stop()
    return code


def identifier(c):
    p = Properties(PacketTypes.SUBSCRIBE)
    p.SubscriptionIdentifier = 7
    c.subscribe("a", properties=p)


def wildcards():
    a = Client()
    a.subscribe("p/#")
    a.publish("p", "parent")
    a.publish("p/c", "child")
    out = a.got(2, 0.5)
    a.close()
    return out


def retained():
    a = Client()
    a.publish("kept/1", "retained", retain=True)
    a.subscribe("kept/+")
    n = len(a.got(1, 0.5))
    a.subscribe("kept/1")
    out = [n, a.got(1, 1)]
    a.close()
    return out


def expiry():
    a = Client()
    a.subscribe("e")
    a.publish("e", MessageExpiryInterval=1000000)
    a.got()
    out = a.messages[0].properties.MessageExpiryInterval
    a.close()
    return out


def shadow():
    base = f"$aws/things/{name}/shadow/name/s/"
    a = Client()
    a.subscribe(base + "get/rejected", base + "update/accepted", base + "update/rejected", base + "update/delta")
    a.publish(base + "get", "")
    a.publish(base + "update", '{"state":{"desired":{"x":1}},"clientToken":"t"}')
    a.got(3)
    a.publish(base + "update", '{"state":{"reported":{"x":1}},"version":77}')
    out = sorted([t.removeprefix(base), json.loads(p).get("code") or json.loads(p).get("version")] for t, p in a.got(4))
    a.close()
    return out


def presence():
    w = Client("watcher")
    w.subscribe("$aws/events/presence/+/seen")
    a = Client("seen")
    a.close()
    out = [[t.split("/")[3], json.loads(p).get("disconnectReason")] for t, p in w.got(2)]
    w.close()
    return out


def properties(**more):
    c = Client(**more)
    out = c.ack[1]
    c.close()
    return out


line(1, versions)
line(2, lambda: [handshake(context(alpn="x-amzn-mqtt-ca"), strict), handshake(context(), strict)])
line(3, lambda: handshake(context(alpn="x-amzn-mqtt-ca"), strict, "127.0.0.1"))
line(4, lambda: handshake(context(False), port))
line(7, lambda: Client("forbidden").code)
line(8, lambda: [Client("x" * 129).code, Client("$x").code])
line(9, lambda: properties(client_id="").get("AssignedClientIdentifier", "")[:5])
line(10, takeover)
line(13, lambda: {k: v for k, v in properties().items() if "Maximum" in k or "Available" in k})
line(14, lambda: [properties(keepalive=k).get("ServerKeepAlive") for k in (10, 60, 1200, 65535)])
line(15, lambda: [properties(SessionExpiryInterval=s).get("SessionExpiryInterval") for s in (600, 600000)])
line(16, sessions)
line(20, wills)
line(23, receive)
line(32, filters)
line(34, lambda: ends(lambda c: c.c.publish("a", "x", 2)))
line(35, lambda: ends(identifier))
line(37, wildcards)
line(38, retained)
line(39, expiry)
line(41, lambda: ends(lambda c: c.c.publish("$aws/unknown", "x", 1)))
line(42, lambda: [Client("r").subscribe("$aws/rules/r/x"), ends(lambda c: (c.publish("$aws/rules/r/a/b/c/d/e/f/g/h"), c.c.disconnect()))])
line(43, shadow)
line(48, presence)
print(json.dumps(seen))
