"""The boiler of first-run.yaml: a pymodbus server on 127.0.0.1:5020, unit 1."""
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartTcpServer


def block(values):
    words = [0] * 200
    for address, value in values.items():
        words[address] = value
    return ModbusSequentialDataBlock(0, words)


high, low = struct.unpack(">HH", struct.pack(">f", 71.5))
energy = 1234567  # CDAB: the low word first
unit = ModbusSlaveContext(
    zero_mode=True,
    ir=block({0: high, 1: low, 2: 482}),
    hr=block({100: energy & 0xFFFF, 101: energy >> 16, 40: 0b1000}),
    co=block({3: 1}),
    di=block({7: 1}),
)
print("listening", flush=True)
sys.stdout.flush()
StartTcpServer(context=ModbusServerContext(slaves={1: unit}, single=False), address=("127.0.0.1", 5020))
