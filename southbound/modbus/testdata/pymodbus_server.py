"""A pymodbus server with the registers of the first configuration.

usage: pymodbus_server.py tcp|udp|ascii+tcp PORT | rtu|ascii DEVICE BAUD
"""
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.server import StartSerialServer, StartTcpServer, StartUdpServer
from pymodbus.transaction import ModbusAsciiFramer, ModbusRtuFramer


def registers(data):
    return list(struct.unpack(">%dH" % (len(data) // 2), data))


holding, inputs = [0] * 300, [0] * 300
inputs[0:2] = registers(struct.pack(">f", 71.5))
inputs[2:3] = registers(struct.pack(">h", -213))
low_first = registers(struct.pack(">I", 1234567))
holding[100:102] = [low_first[1], low_first[0]]
holding[40] = 1 << 3
unit = ModbusSlaveContext(
    di=ModbusSequentialDataBlock(0, [i == 7 for i in range(300)]),
    co=ModbusSequentialDataBlock(0, [i == 3 for i in range(300)]),
    hr=ModbusSequentialDataBlock(0, holding),
    ir=ModbusSequentialDataBlock(0, inputs),
    zero_mode=True,
)
identity = ModbusDeviceIdentification(info={0: "Acme", 1: "P-1", 2: "1.0", 4: "Press " + "x" * 200, 0x80: "SN12345678"})
context = ModbusServerContext(slaves={1: unit}, single=False)
if sys.argv[1] == "tcp":
    StartTcpServer(context=context, identity=identity, address=("127.0.0.1", int(sys.argv[2])))
elif sys.argv[1] == "ascii+tcp":
    StartTcpServer(context=context, framer=ModbusAsciiFramer, address=("127.0.0.1", int(sys.argv[2])))
elif sys.argv[1] == "udp":
    StartUdpServer(context=context, address=("127.0.0.1", int(sys.argv[2])))
elif sys.argv[1] == "ascii":
    StartSerialServer(context=context, framer=ModbusAsciiFramer, port=sys.argv[2], baudrate=int(sys.argv[3]),
                      bytesize=8, parity="N", stopbits=1)  # a pseudo-terminal has no 7E1
else:
    StartSerialServer(context=context, framer=ModbusRtuFramer, port=sys.argv[2], baudrate=int(sys.argv[3]),
                      bytesize=8, parity="N", stopbits=1)
