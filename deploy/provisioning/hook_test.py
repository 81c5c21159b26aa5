"""Tests of hook.py, with a table in memory: python3 -m unittest hook_test."""
import unittest

import hook


class Table:
    """As much of a DynamoDB table as the hook uses."""

    def __init__(self, **items):
        self.items = {serial: dict(item, serial=serial) for serial, item in items.items()}

    def get_item(self, Key, ConsistentRead):
        assert ConsistentRead
        item = self.items.get(Key["serial"])
        return {"Item": dict(item)} if item else {}

    def update_item(self, Key, UpdateExpression, ExpressionAttributeValues, ReturnValues):
        assert (UpdateExpression, ReturnValues) == ("ADD tries :one", "UPDATED_NEW")
        item = self.items[Key["serial"]]
        item["tries"] = item.get("tries", 0) + ExpressionAttributeValues[":one"]
        return {"Attributes": {"tries": item["tries"]}}


def ask(table, serial="s1", name="press", tries=2):
    parameters = {"GatewayName": name, "Serial": serial} if serial else {"GatewayName": name}
    answer = hook.decide({"parameters": parameters, "certificateId": "c"}, table, tries, "Serial")
    return answer["allowProvisioning"]


class TestHook(unittest.TestCase):
    def test_list(self):
        table = Table(s1={"gateway": "press"}, s2={}, s3={"blocked": True})
        self.assertTrue(ask(table))
        self.assertTrue(ask(table, "s2", "any name"))
        for serial, name in (("s1", "another"), ("s3", "press"), ("s4", "press"), ("", "press")):
            self.assertFalse(ask(table, serial, name), (serial, name))

    def test_tries(self):
        table = Table(s1={})
        self.assertEqual([ask(table) for _ in range(4)], [True, True, False, False])

    def test_refused_are_not_counted(self):
        table = Table(s1={"gateway": "press"})
        for _ in range(10):
            ask(table, "s1", "another")
        self.assertTrue(ask(table))

    def test_nothing(self):
        self.assertFalse(hook.decide({}, Table(), 5, "Serial")["allowProvisioning"])


if __name__ == "__main__":
    unittest.main()
