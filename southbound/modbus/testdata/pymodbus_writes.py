"""A pymodbus server that does something of its own with each write.

usage: pymodbus_writes.py tcp PORT | rtu DEVICE,DEVICE,...  BEHAVIOUR...

What is done with a write says its address: of 300 addresses each behaviour has 12,
in the order of the arguments. Input register 1000 * function + address counts
the writes that came. Each device is a line with a unit of its own.
"""
import asyncio
import sys
import threading
import time

from pymodbus.bit_write_message import WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.register_write_message import WriteMultipleRegistersRequest, WriteSingleRegisterRequest
from pymodbus.server import StartSerialServer, StartTcpServer
from pymodbus.server.async_io import ModbusConnectedRequestHandler, ModbusSingleRequestHandler
from pymodbus.transaction import ModbusRtuFramer

TABLE, NUMBER = 300, 12
BEFORE, CHANGED = 5, 6  # of registers; coils are off before


def wrong_value(response):
    if hasattr(response, "count"):
        response.count += 1
    elif isinstance(response.value, bool):
        response.value = not response.value
    else:
        response.value += 1


def refuse(code):
    return lambda request, response, put: (put("before"), request.doException(code))[1]


def change(**attributes):
    def behave(_request, response, _put):
        for name, value in attributes.items():
            setattr(response, name, value)
        return response
    return behave


def echo(wrong):
    return lambda _request, response, _put: (wrong(response), response)[1]


def store(what, **attributes):
    return lambda request, response, put: (put(what), change(**attributes)(request, response, put))[1]


def show_late(_request, response, put):
    put("before")
    asyncio.get_running_loop().call_later(0.15, put, "written")
    return response


BEHAVIOURS = {
    "takes": change(),
    "refuses": refuse(4),
    "refuses with a number of its own": refuse(200),
    "ignores": store("before"),
    "changes": store("changed"),
    "takes and is silent": change(should_respond=False),
    "ignores and is silent": store("before", should_respond=False),
    "shows it late": show_late,
    "answers late": change(late=0.05),
    "answers too late": change(late=2.5),
    "acknowledges": lambda request, _response, _put: request.doException(5),
    "echoes another address": echo(lambda response: setattr(response, "address", response.address + 1)),
    "echoes another value": echo(wrong_value),
    "takes and hangs up": change(hangs_up=True),
}
behaviours = [BEHAVIOURS[name] for name in sys.argv[3:]]


def of_its_own(base):
    class Request(base):
        def execute(self, context):
            function, address = self.function_code, self.address
            response = super().execute(context)
            written = context.getValues(function, address, 1)
            bits = function in (5, 15)

            def put(what):
                context.setValues(function, address, {
                    "before": [False] if bits else [BEFORE],
                    "changed": [False] if bits else [CHANGED],
                    "written": written,
                }[what])

            counter = 1000 * function + address
            context.setValues(4, counter, [context.getValues(4, counter, 1)[0] + 1])
            return behaviours[address % TABLE // NUMBER](self, response, put)
    return Request


class OverTCP(ModbusConnectedRequestHandler):
    def send(self, message, *addr, **kwargs):
        send = super().send
        if getattr(message, "hangs_up", False):
            self.transport.close()
        elif getattr(message, "late", 0):
            asyncio.get_running_loop().call_later(message.late, lambda: send(message, *addr, **kwargs))
        else:
            send(message, *addr, **kwargs)


class OverALine(ModbusSingleRequestHandler):
    def send(self, message, *addr, **kwargs):
        time.sleep(getattr(message, "late", 0))  # a slave on a line does one thing after the other
        super().send(message, *addr, **kwargs)


def new_context():
    unit = ModbusSlaveContext(
        co=ModbusSequentialDataBlock(0, [False] * 2 * TABLE),
        hr=ModbusSequentialDataBlock(0, [BEFORE] * 2 * TABLE),
        ir=ModbusSequentialDataBlock(0, [0] * 20000),
        zero_mode=True,
    )
    return ModbusServerContext(slaves={1: unit}, single=False)


functions = [of_its_own(base) for base in (WriteSingleCoilRequest, WriteMultipleCoilsRequest,
                                           WriteSingleRegisterRequest, WriteMultipleRegistersRequest)]


def serve_line(device):
    StartSerialServer(context=new_context(), framer=ModbusRtuFramer, port=device, baudrate=115200, bytesize=8,
                      parity="N", stopbits=1, handler=OverALine, custom_functions=functions)


if sys.argv[1] == "tcp":
    StartTcpServer(context=new_context(), address=("127.0.0.1", int(sys.argv[2])), handler=OverTCP,
                   custom_functions=functions)
else:
    for device in sys.argv[2].split(","):
        threading.Thread(target=serve_line, args=(device,)).start()
