"""Reads messages of Fieldbridge's format protobuf and passes them on as format rows.

It has two kinds of events: a catalogue of the status topic, whose numbers it keeps in a
DynamoDB table, and {"data": a message in base64}, which becomes one record of a Firehose
stream. A message whose numbers are not known asks its gateway for a rebirth, which tells
all numbers again, and fails: Lambda then calls again. It needs no library for protobuf:
docs/schemas/readings.proto has the fields by their numbers.
"""

import base64
import json
import os
import struct
import sys
import time

NO_UINT, NO_INT, NO_FLOAT, NO_DOUBLE = 0xFFFFFFFF, -0x80000000, struct.pack("<I", 0xFF7FFFFF), -sys.float_info.max
LIST = {"u": 5, "i": 6, "f": 7, "d": 8, "t": 11, "n": 11}  # field of a row, by the letter of a point
BLOCK_TEXTS = 10


class Unknown(Exception):
    """A number that no catalogue has told."""


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Returns the fields of a message: {number: [value, ...]}."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def one(message, number, default=0):
    return message.get(number, [default])[-1]


def numbers(data):
    found, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        found.append(value)
    return found


def signed(value):  # zigzag
    return (value >> 1) ^ -(value & 1)


def wrapped(value):  # to 32 bits with a sign
    return (value + 0x80000000) % 0x100000000 - 0x80000000


def chunks(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def shortest(raw):
    """Returns a float of 32 bits with as few digits as tell it from others."""
    value = struct.unpack("<f", raw)[0]
    for digits in range(1, 10):
        near = float(f"{value:.{digits}g}")
        try:
            if struct.pack("<f", near) == raw:
                return near
        except OverflowError:
            pass
    return value


def sheet_of(told):
    """Returns a sheet as the catalogue tells it: (device, [(name, letter, places), ...])."""
    places = base64.b64decode(told.get("places") or "") or bytes(len(told["names"]))
    return told["device"], list(zip(told["names"], told["lists"], places))


def sheets_of(message):
    """Yields (number, sheet) of those that a message brings."""
    for body in message.get(10, []):
        sheet = fields(body)
        names = [name.decode() for name in sheet.get(3, [])]
        places = one(sheet, 5, b"") or bytes(len(names))
        yield one(sheet, 1), (one(sheet, 2, b"").decode(), list(zip(names, one(sheet, 4, b"").decode(), places)))


class Reader:
    """Reads one message. known(gateway, number) returns a sheet, or None."""

    def __init__(self, data, known):
        self.message = fields(data)
        if one(self.message, 1) != 1:
            raise ValueError(f"version {one(self.message, 1)}")
        self.gateway = one(self.message, 2, b"").decode()
        self.at, self.seq = (int(struct.unpack("<d", one(self.message, n))[0]) for n in (4, 5))
        self.texts = [text.decode() for text in self.message.get(11, [])]
        self.own = dict(sheets_of(self.message))
        self.known = known
        self.batches = {}

    def sheet(self, number):
        sheet = self.own.get(number) or self.known(self.gateway, number)
        if sheet is None:
            raise Unknown(f"sheet {number} of {self.gateway}")
        return sheet

    def points(self, sheet, listed):
        """Returns the points that are listed, or all: a 0 and n are n that follow on."""
        device, points = sheet
        if not listed:
            return points
        found, i = [], 0
        while i < len(listed):
            if listed[i] == 0:
                found += range(found[-1] + 1, found[-1] + 1 + listed[i + 1])
                i += 1
            else:
                found.append(listed[i])
            i += 1
        if max(found) > len(points):
            raise Unknown(f"point {max(found)} of {device} of {self.gateway}")
        return [points[n - 1] for n in found]

    def batch(self, device, at, seq):
        return self.batches.setdefault((self.seq + seq, device), {
            "seq": self.seq + seq, "device": device, "at": self.at + at, "points": {}, "bad": {}})

    def lists(self, message, texts):
        """Returns the values of a row or block, by the letter of their points; texts is a field."""
        return {5: numbers(one(message, 5, b"")), 6: [signed(n) for n in numbers(one(message, 6, b""))],
                7: chunks(one(message, 7, b""), 4), 8: chunks(one(message, 8, b""), 8), 11: numbers(one(message, texts, b""))}

    def value(self, letter, places, item):
        """Returns a value as JSON has it, None if it is absent."""
        if letter in "ui":
            absent = item == (NO_UINT if letter == "u" else NO_INT)
            return None if absent else item / 10 ** places if places else item
        if letter == "f":
            return None if item == NO_FLOAT else shortest(item)
        if letter == "d":
            number = struct.unpack("<d", item)[0]
            return None if number == NO_DOUBLE else number
        if item == 0:
            return None
        text = self.texts[item - 1]
        return text if letter == "t" else json.loads(text)

    def row(self, row):
        sheet = self.sheet(one(row, 3))
        batch = self.batch(sheet[0], signed(one(row, 1)), one(row, 2))
        lists, on, off = self.lists(row, 11), numbers(one(row, 9, b"")), numbers(one(row, 10, b""))
        at, bit = dict.fromkeys(lists, 0), 0
        for name, letter, places in self.points(sheet, numbers(one(row, 4, b""))):
            if letter == "b":
                for words, value in ((on, True), (off, False)):
                    if bit // 32 < len(words) and words[bit // 32] >> bit % 32 & 1:
                        batch["points"][name] = value
                bit += 1
            elif letter in LIST:
                number = LIST[letter]
                if at[number] < len(lists[number]):
                    value = self.value(letter, places, lists[number][at[number]])
                    if value is not None:
                        batch["points"][name] = value
                at[number] += 1
        if any(at[n] < len(lists[n]) for n in lists):
            raise Unknown(f"a point of {sheet[0]} of {self.gateway}")

    def block(self, block):
        sheet = self.sheet(one(block, 1))
        batches, at, seq = [], 0, 0
        for step, count in zip(numbers(one(block, 2, b"")), numbers(one(block, 3, b""))):
            at, seq = wrapped(at + signed(step)), (seq + signed(count)) % 0x100000000
            batches.append(self.batch(sheet[0], at, seq))
        lists, on = self.lists(block, BLOCK_TEXTS), numbers(one(block, 9, b""))
        lists[5] = [signed(n) for n in lists[5]]
        start, bit = dict.fromkeys(lists, 0), 0
        for name, letter, places in self.points(sheet, numbers(one(block, 4, b""))):
            last = 0
            for batch in batches:
                if letter == "b":
                    batch["points"][name] = bool(on[bit // 32] >> bit % 32 & 1)
                    bit += 1
                    continue
                number = LIST[letter]
                item = lists[number][start[number]]
                start[number] += 1
                if letter in "ui":
                    last = (last + item) % 0x100000000
                    item = last if letter == "u" else wrapped(last)
                batch["points"][name] = self.value(letter, places, item)

    def bad(self, bad):
        sheet = self.sheet(one(bad, 3))
        batch = self.batch(sheet[0], signed(one(bad, 1)), one(bad, 2))
        for name, _, _ in self.points(sheet, numbers(one(bad, 5, b""))):
            batch["bad"][name] = one(bad, 4, b"").decode()

    def rows(self):
        """Returns the message as it would be in format rows."""
        for number, read in ((12, self.row), (13, self.row), (15, self.block), (14, self.bad)):
            for body in self.message.get(number, []):
                read(fields(body))
        made = {"v": 1, "gateway": self.gateway, "run": one(self.message, 3, b"").decode()}
        if one(self.message, 7):
            made["backlog"] = True
        if one(self.message, 8):
            made["clock"] = "unsynced"
        labels = [fields(label) for label in self.message.get(9, [])]
        if labels:
            made["labels"] = {one(label, 1, b"").decode(): one(label, 2, b"").decode() for label in labels}
        made["batches"] = [{key: value for key, value in self.batches[key].items() if value != {}}
                           for key in sorted(self.batches)]
        return made


CACHE = {}  # sheets, by gateway and number: they grow, and never change otherwise


def stored(table, gateway, number, afresh=False):
    if afresh or (gateway, number) not in CACHE:
        item = table.get_item(Key={"gateway": gateway, "sheet": number}).get("Item")
        if item is None:
            return None
        CACHE[gateway, number] = sheet_of(json.loads(item["told"]))
    return CACHE[gateway, number]


def handler(event, _context=None):
    """What the rules call."""
    import boto3  # not at hand where messages are tested

    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    if event.get("type") == "catalog":
        for told in event.get("sheets", []):
            table.put_item(Item={"gateway": event["gateway"], "sheet": told["sheet"], "told": json.dumps(told)})
        return {"sheets": len(event.get("sheets", []))}
    data = base64.b64decode(event["data"])
    try:
        try:
            made = Reader(data, lambda gateway, number: stored(table, gateway, number)).rows()
        except Unknown:  # a sheet may have grown since it was looked up
            made = Reader(data, lambda gateway, number: stored(table, gateway, number, afresh=True)).rows()
    except Unknown:
        topic = os.environ.get("REBIRTH_TOPIC")
        if topic:
            now = int(time.time() * 1000)
            command = {"id": f"rebirth-{now // 60000}", "at": now, "action": "rebirth"}  # one a minute is enough
            boto3.client("iot-data").publish(topic=topic.replace("GATEWAY", one(fields(data), 2, b"").decode()), qos=1,
                                             payload=json.dumps(command))
        raise  # Lambda calls again, and the catalogue is there by then
    boto3.client("firehose").put_record(DeliveryStreamName=os.environ["STREAM"],
                                        Record={"Data": json.dumps(made) + "\n"})
    return {"batches": len(made["batches"])}


if __name__ == "__main__":  # for the test: catalogues as an argument, messages in base64 on stdin
    TOLD = {}
    with open(sys.argv[1], encoding="utf-8") as catalogues:
        for line in catalogues:
            entry = json.loads(line)
            for one_sheet in entry.get("sheets", []):
                TOLD[entry["gateway"], one_sheet["sheet"]] = sheet_of(one_sheet)
    for line in sys.stdin:
        print(json.dumps(Reader(base64.b64decode(line), lambda g, n: TOLD.get((g, n))).rows()))
