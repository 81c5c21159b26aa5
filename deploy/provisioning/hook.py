"""Pre-provisioning hook of the provisioning template: lets in the gateways of a list.

A claim is shared by many gateways, so whoever has it can ask for a certificate. AWS IoT
asks this Lambda each time, and takes five seconds without an answer for a no. It lets in
what the list has, a limited number of times, and gives the thing the list's name.

The list is a DynamoDB table with the key "serial" (text). An item may have "gateway", the
name that the thing must have, "tries", how often it has asked, and "blocked". Environment:
TABLE (its name), TRIES (how often a gateway may ask, 5), SERIAL (the parameter that has
the serial, "Serial").

A gateway that renews its certificate asks by the same template with its own certificate:
its tries are counted, too, so set "tries" to 0 when one is repaired.
"""
import logging
import os

log = logging.getLogger()
log.setLevel(logging.INFO)

NO = {"allowProvisioning": False}


def decide(event, table, tries, serial_name):
    """Returns the answer to AWS IoT for a request. table is a DynamoDB table."""
    parameters = event.get("parameters") or {}
    serial = parameters.get(serial_name, "")
    if not serial:
        log.warning("refused: no parameter %s", serial_name)
        return NO
    item = table.get_item(Key={"serial": serial}, ConsistentRead=True).get("Item")
    if item is None:
        log.warning("refused: %s is not on the list", serial)
        return NO
    if item.get("blocked"):
        log.warning("refused: %s is blocked", serial)
        return NO
    name = item.get("gateway")
    if name and name != parameters.get("GatewayName"):
        log.warning("refused: %s is %s on the list, and says that it is %s", serial, name, parameters.get("GatewayName"))
        return NO
    # Counted before it is let in: who asks a thousand times at once is let in TRIES times.
    count = table.update_item(
        Key={"serial": serial},
        UpdateExpression="ADD tries :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )["Attributes"]["tries"]
    if count > tries:
        log.warning("refused: %s asks for the %d. time", serial, count)
        return NO
    log.info("let in: %s as %s, certificate %s", serial, parameters.get("GatewayName"), event.get("certificateId"))
    return {"allowProvisioning": True, "parameterOverrides": {}}


def handler(event, _context):
    """Is called by AWS IoT."""
    import boto3

    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    return decide(event, table, int(os.environ.get("TRIES", "5")), os.environ.get("SERIAL", "Serial"))
