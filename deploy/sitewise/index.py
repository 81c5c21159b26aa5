"""Puts the readings of a Fieldbridge message, of any format, into AWS IoT SiteWise.

Each point is the property with the alias /plant/GATEWAY/DEVICE/POINT. A number is a
double, whatever it looks like: 71 and 71.0 are one property. Bad points are left
out; SiteWise keeps the last good value. What is older than seven days SiteWise does
not take: it is counted and left out.
"""

import json
import os
import sys
import time

PREFIX = os.environ.get("ALIAS_PREFIX", "/plant")
MOST_ENTRIES = 10  # of one request (quota of BatchPutAssetPropertyValue)
MOST_VALUES = 10  # of one entry
OLDEST = 7 * 24 * 3600 * 1000  # milliseconds; SiteWise refuses what is older
NEWEST = 10 * 60 * 1000  # and what is more than ten minutes ahead
OF_FLAT = {"v", "gateway", "timestamp", "device", "run", "seq", "backlog", "clock", "labels", "bad"}


def readings(message):
    """Yields (device, milliseconds, point, value) of each good reading of a message."""
    for batch in message.get("batches", []):
        for point, value in batch.get("points", {}).items():
            yield batch["device"], batch["at"], point, value
    for device in message.get("devices", []):
        at = 0
        for i, step in enumerate(device["at"]):
            at += step
            for point, column in device.get("points", {}).items():
                if i < len(column) and column[i] is not None:
                    yield device["device"], at, point, column[i]
    if "timestamp" in message and "device" in message:
        for point, value in message.items():
            if point not in OF_FLAT:
                yield message["device"], message["timestamp"], point, value


def variant(value):
    """Returns a value as SiteWise takes it, None if it does not."""
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, (int, float)):
        return {"doubleValue": float(value)}
    if isinstance(value, str) and len(value.encode()) <= 1024:
        return {"stringValue": value}
    return None


def entries(message, now):
    """Returns the entries of a message, and how many readings are left out for their age."""
    values, left_out = {}, 0
    for device, at, point, value in readings(message):
        put = variant(value)
        if put is None:
            continue
        if not now - OLDEST < at < now + NEWEST:
            left_out += 1
            continue
        alias = f"{PREFIX}/{message['gateway']}/{device}/{point}"
        stamp = {"timeInSeconds": at // 1000, "offsetInNanos": at % 1000 * 1_000_000}
        values.setdefault(alias, []).append({"value": put, "timestamp": stamp, "quality": "GOOD"})
    made = []
    for alias in sorted(values):
        for i in range(0, len(values[alias]), MOST_VALUES):
            made.append({"entryId": str(len(made)), "propertyAlias": alias,
                         "propertyValues": values[alias][i:i + MOST_VALUES]})
    return made, left_out


def handler(message, _context=None):
    """What the rule calls. It fails, and is called again, if SiteWise does not take all."""
    import boto3  # not at hand where the entries are tested

    client = boto3.client("iotsitewise")
    made, left_out = entries(message, int(time.time() * 1000))
    errors = []
    for i in range(0, len(made), MOST_ENTRIES):
        answer = client.batch_put_asset_property_value(entries=made[i:i + MOST_ENTRIES])
        errors += answer.get("errorEntries", [])
    lasting = [e for e in errors if any(one["errorCode"] in ("InternalFailureException", "ServiceUnavailableException",
                                                             "ThrottlingException") for one in e["errors"])]
    if lasting:
        raise RuntimeError(f"SiteWise did not take {len(lasting)} of {len(made)} entries: {lasting[:3]}")
    if errors:
        print(json.dumps({"refused": errors[:10], "count": len(errors)}))  # to the Lambda's log
    return {"entries": len(made), "left_out": left_out, "refused": len(errors)}


if __name__ == "__main__":  # for the test: a message on stdin, now as an argument
    print(json.dumps(entries(json.load(sys.stdin), int(sys.argv[1])), indent=1))
