/* A libmodbus server with the registers of the first configuration.
 * usage: libmodbus_server tcp PORT | rtu DEVICE BAUD */
#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
	uint8_t query[MODBUS_MAX_ADU_LENGTH];
	int n, socket = -1, tcp = argc > 2 && !strcmp(argv[1], "tcp");
	modbus_mapping_t *map = modbus_mapping_new(300, 300, 300, 300);
	modbus_t *ctx = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], atoi(argv[3]), 'N', 8, 1);
	modbus_set_slave(ctx, 1);
	map->tab_input_registers[0] = 0x428f; /* 71.5 */
	map->tab_input_registers[2] = (uint16_t)-213;
	map->tab_registers[100] = 1234567 & 0xffff;
	map->tab_registers[101] = 1234567 >> 16;
	map->tab_registers[40] = 1 << 3;
	map->tab_bits[3] = 1;
	map->tab_input_bits[7] = 1;
	if (tcp) {
		socket = modbus_tcp_listen(ctx, 1);
		if (socket < 0)
			return 1;
	} else if (modbus_connect(ctx) < 0) {
		return 1;
	}
	for (;;) {
		if (tcp && modbus_tcp_accept(ctx, &socket) < 0)
			return 1;
		while ((n = modbus_receive(ctx, query)) >= 0)
			if (n > 0)
				modbus_reply(ctx, query, n, map);
		if (!tcp)
			usleep(1000);
	}
}
