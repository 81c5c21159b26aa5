package configs

import (
	"math"

	"fieldbridge/southbound/modbus/modbustest"
)

// deviceProfile is what a profile of the library must do with a device whose
// registers are written as the vendor's manual has them, not as the profile
// has: by its numbers and in its units.
type deviceProfile struct {
	name     string
	requests int           // a cycle on Modbus TCP
	most     int           // registers in a request; more is refused; 0 knows no limit
	ranges   []legal       // what the manual lists; all else is refused
	image    func(i image) // the registers
	want     string        // the readings, "point value" a line
	writes   []deviceWrite // what commands leave on the device
}

// deviceWrite is a command with the greatest value of a point, and what the
// register that the source names holds then.
type deviceWrite struct {
	point, value string
	table        modbustest.Table
	address      int
	word         uint16
}

type legal struct {
	table        modbustest.Table
	first, count int
}

var deviceProfiles = []deviceProfile{
	{
		name:     "abb-b23",
		requests: 4,
		ranges: []legal{{modbustest.Holding, 0x5000, 0x18}, {modbustest.Holding, 0x5460, 24},
			{modbustest.Holding, 0x5B00, 45}, {modbustest.Holding, 0x5B2D, 7}, {modbustest.Holding, 0x5B37, 12}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 0)
			i.int64(0x5000, 1234567, 2345)
			i.int64(0x5460, 400001, 400002, 434564, 701, 702, -1)
			i.int32(0x5B00, 2301, 2312, 2323, 3984, 3995, 4006)
			i.int32(0x5B0C, 1234, 2345, 3456, -1)
			i.int32(0x5B14, -65432, 10001, 20002, -95435)
			i.int32(0x5B1C, 3003, 1001, 1002, 1000)
			i.int32(0x5B24, 66000, 22001, 22002, math.MaxInt32)
			i.int16(0x5B2C, 4998)
			i.int16(0x5B3A, -990, 991, 992, 0x7FFF)
		},
		want: `energy_import 12345.67; energy_export 23.45
			energy_import_l1 4000.01; energy_import_l2 4000.02; energy_import_l3 4345.64
			energy_export_l1 7.01; energy_export_l2 7.02; energy_export_l3 bad: sentinel
			voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			current_l1 12.34; current_l2 23.45; current_l3 34.56; current_n bad: sentinel
			power_total -654.32; power_l1 100.01; power_l2 200.02; power_l3 -954.35
			reactive_power_total 30.03; reactive_power_l1 10.01; reactive_power_l2 10.02; reactive_power_l3 10
			apparent_power_total 660; apparent_power_l1 220.01; apparent_power_l2 220.02; apparent_power_l3 bad: sentinel
			frequency 49.98
			power_factor_total -0.99; power_factor_l1 0.991; power_factor_l2 0.992; power_factor_l3 bad: sentinel`,
	},
	{
		name:     "carlo-gavazzi-em24",
		requests: 8,
		ranges:   []legal{{modbustest.Input, 0, 0x60}},
		image: func(i image) {
			i = i.at(modbustest.Input, 300001) // the column "Modicom address"
			i.swap = true
			i.int32(300001, 2301, 2312, 2323)
			i.int32(300013, 12345, 23456, 34567)
			i.int32(300019, 10001, -20002, 30003)
			i.int32(300041, 20002, 60006, -1234)
			i.int16(300051, 991, -992, 993, 994)
			i.int16(300056, 500)
			i.int32(300063, 1234567, 7654)
			i.int32(300067, 999999) // the partial meter
			i.int32(300071, 411111, 411112, 412344)
			i.int32(300093, 2345, 67)
		},
		want: `voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
			current_l1 12.345; current_l2 23.456; current_l3 34.567
			power_l1 1000.1; power_l2 -2000.2; power_l3 3000.3
			power_total 2000.2; apparent_power_total 6000.6; reactive_power_total -123.4
			power_factor_l1 0.991; power_factor_l2 -0.992; power_factor_l3 0.993; power_factor_total 0.994
			frequency 50; energy_import 123456.7; reactive_energy_import 765.4
			energy_import_l1 41111.1; energy_import_l2 41111.2; energy_import_l3 41234.4
			energy_export 234.5; reactive_energy_export 6.7`,
	},
	{
		name:     "carlo-gavazzi-em24-e1",
		requests: 7,
		ranges:   []legal{{modbustest.Input, 0, 0x52}},
		image: func(i image) {
			i = i.at(modbustest.Input, 0)
			i.swap = true
			i.int32(0, 2301, 2312, 2323)
			i.int32(12, 12345, 23456, 34567)
			i.int32(18, 10001, -20002, 30003)
			i.int32(40, 20002)
			i.int16(46, 991, -992, 993, 994)
			i.int16(51, 501)
			i.int32(52, 1234567)
			i.int32(64, 411111, 411112, 412344)
			i.int32(78, 2345)
		},
		want: `voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
			current_l1 12.345; current_l2 23.456; current_l3 34.567
			power_l1 1000.1; power_l2 -2000.2; power_l3 3000.3; power_total 2000.2
			power_factor_l1 0.991; power_factor_l2 -0.992; power_factor_l3 0.993; power_factor_total 0.994
			frequency 50.1; energy_import 123456.7
			energy_import_l1 41111.1; energy_import_l2 41111.2; energy_import_l3 41234.4
			energy_export 234.5`,
	},
	{
		name:     "eastron-sdm120",
		requests: 1,
		ranges:   []legal{{modbustest.Input, 0, 96}},
		image: func(i image) {
			i = i.at(modbustest.Input, 30001)
			i.float32(30001, 230.2)
			i.float32(30007, 4.35)
			i.float32(30013, -985.5)
			i.float32(30019, 1001.4)
			i.float32(30025, 177.25)
			i.float32(30031, -0.98)
			i.float32(30071, 49.98, 1234.567, 89.01, 23.4, 5.6)
		},
		want: `voltage_l1 230.2; current_l1 4.35; power_total -985.5
			apparent_power_total 1001.4; reactive_power_total 177.25; power_factor_total -0.98; frequency 49.98
			energy_import 1234.567; energy_export 89.01; reactive_energy_import 23.4; reactive_energy_export 5.6`,
	},
	{
		name:     "eastron-sdm630",
		requests: 1,
		ranges:   []legal{{modbustest.Input, 0, 88}},
		image: func(i image) {
			i = i.at(modbustest.Input, 30001)
			i.float32(30001, 230.2, 231.3, 229.4, 4.35, 5.46, 6.57, 1000.5, 1250.25, -1500.125)
			i.float32(30031, 0.98, 0.97, -0.96)
			i.float32(30053, 750.625)
			i.float32(30057, 3750.5)
			i.float32(30061, -820.75, 0.91)
			i.float32(30071, 49.98, 12345.67, 891.2, 234.5, 67.8)
		},
		want: `voltage_l1 230.2; voltage_l2 231.3; voltage_l3 229.4
			current_l1 4.35; current_l2 5.46; current_l3 6.57
			power_l1 1000.5; power_l2 1250.25; power_l3 -1500.125
			power_factor_l1 0.98; power_factor_l2 0.97; power_factor_l3 -0.96
			power_total 750.625; apparent_power_total 3750.5; reactive_power_total -820.75; power_factor_total 0.91
			frequency 49.98; energy_import 12345.67; energy_export 891.2
			reactive_energy_import 234.5; reactive_energy_export 67.8`,
	},
	{
		name:     "eletechsup-r4dcb08",
		requests: 1,
		ranges:   []legal{{modbustest.Holding, 0, 16}},
		image: func(i image) {
			// The vendor's examples: 00DB is 21.9, FF90 is -11.2.
			i.at(modbustest.Holding, 0).words(0, 0x00DB, 0xFF90, 0x8000, 0, 0xFFFD, 1250, 0xFDDA, 0x8000)
		},
		want: `temperature_1 21.9; temperature_2 -11.2; temperature_3 bad: sentinel; temperature_4 0
			temperature_5 -0.3; temperature_6 125; temperature_7 -55; temperature_8 bad: sentinel`,
	},
	{
		name:     "huawei-sun2000",
		requests: 5,
		ranges: []legal{{modbustest.Holding, 32008, 3}, {modbustest.Holding, 32016, 48}, {modbustest.Holding, 32064, 27},
			{modbustest.Holding, 32091, 4}, {modbustest.Holding, 32106, 2}, {modbustest.Holding, 32114, 2}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 0)
			i.int16(32008, 1, 0x8000, 2)
			i.int16(32016, 6543, 812, 6012, -3, 0x7FFF, 0x7FFF, 0, 0)
			i.int32(32064, 8123)
			i.int16(32066, 3984, 3995, 4006, 2301, 2312, 2323)
			i.int32(32072, 11234, 11345, -11456, 9876, 7998, -456)
			i.int16(32084, -998, 4999, 9846, 415)
			i.int16(32089, 0x0200, 0)
			i.int32(32106, 1234567)
			i.int32(32114, 3456)
		},
		want: `alarm_1 1; alarm_2 32768; alarm_3 2
			pv1_voltage 654.3; pv1_current 8.12; pv2_voltage 601.2; pv2_current -0.03
			pv3_voltage bad: sentinel; pv3_current bad: sentinel; pv4_voltage 0; pv4_current 0
			dc_power 8123; voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
			current_l1 11.234; current_l2 11.345; current_l3 -11.456
			power_peak_today 9876; power_total 7998; reactive_power_total -456
			power_factor_total -0.998; frequency 49.99; efficiency 98.46; temperature_cabinet 41.5
			status 512; fault_code 0; energy_yield 12345.67; energy_yield_today 34.56`,
	},
	{
		name:     "janitza-umg96rm",
		requests: 2,
		ranges:   []legal{{modbustest.Holding, 19000, 122}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 0)
			i.float32(19000, 230.2, 231.3, 229.4, 398.4, 399.5, 400.6, 4.35, 5.46, 6.57, 0.5)
			i.float32(19020, 1000.5, 1250.5, -1500.5, 750.5, 1001.5, 1252.5, 1503.5, 3757.5, 101.5, 102.5, -103.5, 100.5)
			i.float32(19044, 0.98, 0.97, -0.96, 49.98, 1, 11, 12, 13, 36)
			i.float32(19062, 4000500, 4001500, 4343500, 12345500, 7500, 8500, 9500, 25500)
			i.float32(19110, 1.1, 1.2, 1.3, 10.1, 10.2, 10.3)
		},
		want: `voltage_l1 230.2; voltage_l2 231.3; voltage_l3 229.4
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			current_l1 4.35; current_l2 5.46; current_l3 6.57
			power_l1 1000.5; power_l2 1250.5; power_l3 -1500.5; power_total 750.5
			apparent_power_l1 1001.5; apparent_power_l2 1252.5; apparent_power_l3 1503.5; apparent_power_total 3757.5
			reactive_power_l1 101.5; reactive_power_l2 102.5; reactive_power_l3 -103.5; reactive_power_total 100.5
			power_factor_l1 0.98; power_factor_l2 0.97; power_factor_l3 -0.96; frequency 49.98
			energy_import_l1 4000.5; energy_import_l2 4001.5; energy_import_l3 4343.5; energy_import 12345.5
			energy_export_l1 7.5; energy_export_l2 8.5; energy_export_l3 9.5; energy_export 25.5
			voltage_thd_l1 1.1; voltage_thd_l2 1.2; voltage_thd_l3 1.3
			current_thd_l1 10.1; current_thd_l2 10.2; current_thd_l3 10.3`,
	},
	{
		name:     "moxa-iologik-e1210",
		requests: 1,
		ranges:   []legal{{modbustest.Discrete, 0, 16}},
		image: func(i image) {
			i = i.at(modbustest.Discrete, 10001)
			i.bits(10002, true)
			i.bits(10016, true)
		},
		want: `di_1 false; di_2 true; di_3 false; di_4 false; di_5 false; di_6 false; di_7 false; di_8 false
			di_9 false; di_10 false; di_11 false; di_12 false; di_13 false; di_14 false; di_15 false; di_16 true`,
	},
	{
		name:     "moxa-iologik-e1240",
		requests: 1,
		ranges:   []legal{{modbustest.Input, 0, 24}},
		image: func(i image) {
			i.at(modbustest.Input, 30001).int16(30001, 0, 1, 32768, 65535, 5, 6, 7, 8)
		},
		want: "ai_1 0; ai_2 1; ai_3 32768; ai_4 65535; ai_5 5; ai_6 6; ai_7 7; ai_8 8",
	},
	{
		name:     "schneider-iem3155",
		requests: 9,
		ranges: []legal{{modbustest.Holding, 2999, 6}, {modbustest.Holding, 3009, 2}, {modbustest.Holding, 3019, 14},
			{modbustest.Holding, 3035, 2}, {modbustest.Holding, 3053, 8}, {modbustest.Holding, 3067, 2},
			{modbustest.Holding, 3075, 2},
			{modbustest.Holding, 3083, 2}, {modbustest.Holding, 3109, 2}, {modbustest.Holding, 3203, 8},
			{modbustest.Holding, 3219, 8},
			{modbustest.Holding, 3517, 12}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 1)
			i.float32(3000, 4.35, 5.46, 6.57)
			i.float32(3020, 398.4, 399.5, 400.6)
			i.float32(3028, 230.2, 231.3, 229.4)
			i.float32(3054, 1.001, 1.252, -1.503, 0.75)
			i.float32(3068, -0.82)
			i.float32(3076, 3.75)
			i.float32(3110, 49.98)
			i.int64(3204, 12345678, 891234)
			i.int64(3220, 234567, 67890)
			i.int64(3518, 4000001, 4000002, 4345675)
		},
		want: `current_l1 4.35; current_l2 5.46; current_l3 6.57
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			voltage_l1 230.2; voltage_l2 231.3; voltage_l3 229.4
			power_l1 1001; power_l2 1252; power_l3 -1503; power_total 750
			reactive_power_total -820; apparent_power_total 3750; frequency 49.98
			energy_import 12345.678; energy_export 891.234; reactive_energy_import 234.567; reactive_energy_export 67.89
			energy_import_l1 4000.001; energy_import_l2 4000.002; energy_import_l3 4345.675`,
	},
	{
		name:     "siemens-pac3200",
		requests: 2,
		ranges:   []legal{{modbustest.Holding, 1, 74}, {modbustest.Holding, 801, 40}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 0)
			i.float32(1, 230.2, 231.3, 229.4, 398.4, 399.5, 400.6, 4.35, 5.46, 6.57, 1001.5, 1252.5, 1503.5,
				1000.5, 1250.5, -1500.5, 101.5, 102.5, -103.5, 0.98, 0.97, 0.96, 1.1, 1.2, 1.3, 10.1, 10.2, 10.3, 49.98)
			i.float32(63, 3757.5, 750.5, 100.5, 0.91)
			i.float64(801, 12345678.9, 2345678, 345678, 45678, 5678, 678.5, 78, 8)
		},
		want: `voltage_l1 230.2; voltage_l2 231.3; voltage_l3 229.4
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			current_l1 4.35; current_l2 5.46; current_l3 6.57
			apparent_power_l1 1001.5; apparent_power_l2 1252.5; apparent_power_l3 1503.5
			power_l1 1000.5; power_l2 1250.5; power_l3 -1500.5
			reactive_power_l1 101.5; reactive_power_l2 102.5; reactive_power_l3 -103.5
			power_factor_l1 0.98; power_factor_l2 0.97; power_factor_l3 0.96
			voltage_thd_l1 1.1; voltage_thd_l2 1.2; voltage_thd_l3 1.3
			current_thd_l1 10.1; current_thd_l2 10.2; current_thd_l3 10.3; frequency 49.98
			apparent_power_total 3757.5; power_total 750.5; reactive_power_total 100.5; power_factor_total 0.91
			energy_import_t1 12345.6789; energy_import_t2 2345.678; energy_export_t1 345.678; energy_export_t2 45.678
			reactive_energy_import_t1 5.678; reactive_energy_import_t2 0.6785
			reactive_energy_export_t1 0.078; reactive_energy_export_t2 0.008`,
	},
	{
		name:     "solaredge-meter",
		requests: 1,
		ranges:   []legal{{modbustest.Holding, 40188, 107}},
		image: func(i image) {
			const sf = 0xFFFF // -1
			i = i.at(modbustest.Holding, 0)
			i.words(40188, 203, 105)
			i.int16(40190, 1234, 411, -412, -0x8000, -2)
			i.int16(40195, 2312, 2301, 2312, 2323, 3995, 3984, 3995, 4006, sf)
			i.int16(40204, 4999, -2, -1234, 400, -1234, -400, 0)
			i.int32(40226, 7654321)
			i.int32(40234, 12345678)
			i.int16(40242, 0)
		},
		want: `current_total 12.34; current_l1 4.11; current_l2 -4.12; current_l3 bad: sentinel; current_sf -2
			voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6; voltage_sf -1
			frequency 49.99; frequency_sf -2
			power_export_total -1234; power_export_l1 400; power_export_l2 -1234; power_export_l3 -400; power_sf 0
			energy_export_wh 7654321; energy_import_wh 12345678; energy_sf 0`,
	},
	{
		name:     "sunspec-inverter",
		requests: 2,
		ranges:   []legal{{modbustest.Holding, 0, 134}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 0)
			i.words(0, 0x5375, 0x6e53, 1, 65)
			i.words(4, modbustest.Text("SolarEdge")...)
			i.words(20, modbustest.Text("SE10K")...)
			i.words(44, modbustest.Text("4.18")...)
			i.words(52, modbustest.Text("7E12")...)
			i.words(69, 64001, 8) // the vendor's own
			i.words(79, 101, 50)
			i.int16(81, 3456, 1151, 1152, 0xFFFF, -2)
			i.int16(86, 3984, 3995, 4006, 2301, 2312, 2323, -1)
			i.int16(93, 7998, 0, 4999, -2, 8012, 0, -456, 0, 9981, -2)
			i.int32(103, 12345678)
			i.int16(105, 0)
			i.int16(106, 1234, -2, 6543, -1, 8123, 0)
			i.int16(112, -0x8000, 415, -0x8000, -0x8000, -1, 4, 3)
			i.words(131, 0xFFFF, 0)
		},
		want: `manufacturer SolarEdge; model SE10K; firmware 4.18; serial 7E12
			current_total 34.56; current_l1 11.51; current_l2 11.52; current_l3 bad: sentinel; current_sf -2
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3; voltage_sf -1
			power_total 7998; power_sf 0; frequency 49.99; frequency_sf -2
			apparent_power_total 8012; apparent_power_sf 0; reactive_power_total -456; reactive_power_sf 0
			power_factor_percent 99.81; power_factor_sf -2; energy_yield_wh 12345678; energy_sf 0
			dc_current 12.34; dc_current_sf -2; dc_voltage 654.3; dc_voltage_sf -1; dc_power 8123; dc_power_sf 0
			temperature_cabinet bad: sentinel; temperature_heat_sink 41.5; temperature_sf -1
			state 4; state_vendor 3`,
	},
	{
		name:     "sunspec-inverter-float",
		requests: 2,
		ranges:   []legal{{modbustest.Holding, 40000, 328}},
		image:    func(i image) { sunSpecImage(i.at(modbustest.Holding, 0), 40000, 66, true) },
		want:     sunSpecNameplate + ";" + sunSpecReadings["m111"],
	},
	{
		name:     "sunspec-meter",
		requests: 2,
		ranges:   []legal{{modbustest.Holding, 50000, 318}},
		image:    func(i image) { sunSpecImage(i.at(modbustest.Holding, 0), 50000, 65, false) },
		want:     sunSpecNameplate + ";" + sunSpecReadings["m203"],
	},
	{
		name:     "sunspec-mppt",
		requests: 1,
		ranges:   []legal{{modbustest.Holding, 50000, 318}},
		image:    func(i image) { sunSpecImage(i.at(modbustest.Holding, 0), 50000, 66, false) },
		want:     sunSpecReadings["m160"],
	},
	{
		name:     "sunspec-inverter-103",
		requests: 1,
		ranges:   []legal{{modbustest.Holding, 40000, 121}},
		image: func(i image) {
			const sf = 0xFFFF // -1
			i = i.at(modbustest.Holding, 0)
			i.words(40000, 0x5375, 0x6e53, 1, 65) // SunS, the common model
			i.words(40069, 103, 50)
			i.int16(40071, 3456, 1151, 1152, 0xFFFF, -2)
			i.int16(40076, 3984, 3995, 4006, 2301, 2312, 2323, sf)
			i.int16(40083, 7998, 0, 4999, -2, 8012, 0, -456, 0, 9981, -2)
			i.int32(40093, 12345678)
			i.int16(40095, 0)
			i.int16(40096, 1234, -2, 6543, sf, 8123, 0)
			i.int16(40102, -0x8000, 415, -0x8000, -0x8000, sf, 4, 3)
		},
		want: `current_total 34.56; current_l1 11.51; current_l2 11.52; current_l3 bad: sentinel; current_sf -2
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3; voltage_sf -1
			power_total 7998; power_sf 0; frequency 49.99; frequency_sf -2
			apparent_power_total 8012; apparent_power_sf 0; reactive_power_total -456; reactive_power_sf 0
			power_factor_percent 99.81; power_factor_sf -2; energy_yield_wh 12345678; energy_sf 0
			dc_current 12.34; dc_current_sf -2; dc_voltage 654.3; dc_voltage_sf -1; dc_power 8123; dc_power_sf 0
			temperature_cabinet bad: sentinel; temperature_heat_sink 41.5; temperature_sf -1
			state 4; state_vendor 3`,
	},
	{
		name:     "sunspec-inverter-113",
		requests: 1,
		ranges:   []legal{{modbustest.Holding, 40000, 131}},
		image: func(i image) {
			i = i.at(modbustest.Holding, 1) // Fronius counts from 40001
			i.words(40070, 113, 60)
			nan := float32(math.NaN())
			i.float32(40072, 34.56, 11.51, 11.52, nan, 398.4, 399.5, 400.6, 230.1, 231.2, 232.3,
				7998.5, 49.99, 8012.5, -456.5, 99.81, 12345500, 12.34, 654.3, 8123.5, nan, 41.5)
			i.int16(40118, 4, 3)
		},
		want: `current_total 34.56; current_l1 11.51; current_l2 11.52; current_l3 bad: not_a_number
			voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6
			voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
			power_total 7998.5; frequency 49.99; apparent_power_total 8012.5; reactive_power_total -456.5
			power_factor_percent 99.81; energy_yield 12345.5
			dc_current 12.34; dc_voltage 654.3; dc_power 8123.5
			temperature_cabinet bad: not_a_number; temperature_heat_sink 41.5; state 4; state_vendor 3`,
	},
	{
		name:     "wago-750-352",
		requests: 4,
		ranges: []legal{{modbustest.Discrete, 0, 16}, {modbustest.Coil, 0, 16}, {modbustest.Coil, 0x200, 16},
			{modbustest.Input, 0, 9}, {modbustest.Input, 0x200, 9}, {modbustest.Holding, 0, 9}, {modbustest.Holding, 0x200, 9}},
		image: func(i image) {
			i.at(modbustest.Discrete, 0).bits(0, true, false, true)
			i.at(modbustest.Discrete, 0).bits(15, true)
			i.at(modbustest.Coil, 0).bits(0, true, true, true, true) // the inputs, by function 1
			i.at(modbustest.Coil, 0).bits(0x201, true)
			i.at(modbustest.Input, 0).int16(0, 16384, -16384, 3, 4, 5, 6, 7, 32767)
			i.at(modbustest.Holding, 0).int16(0x200, 101, -102, 103, 104, 105, 106, 107, 108)
		},
		want: `di_1 true; di_2 false; di_3 true; di_4 false; di_5 false; di_6 false; di_7 false; di_8 false
			di_9 false; di_10 false; di_11 false; di_12 false; di_13 false; di_14 false; di_15 false; di_16 true
			do_1 false; do_2 true; do_3 false; do_4 false; do_5 false; do_6 false; do_7 false; do_8 false
			do_9 false; do_10 false; do_11 false; do_12 false; do_13 false; do_14 false; do_15 false; do_16 false
			ai_1 16384; ai_2 -16384; ai_3 3; ai_4 4; ai_5 5; ai_6 6; ai_7 7; ai_8 32767
			ao_1 101; ao_2 -102; ao_3 103; ao_4 104; ao_5 105; ao_6 106; ao_7 107; ao_8 108`,
	},
	{
		name:     "xy-md02",
		requests: 1,
		ranges:   []legal{{modbustest.Input, 1, 2}},
		image: func(i image) {
			i.at(modbustest.Input, 0).int16(1, -51, 567)
		},
		want: "temperature_1 -5.1; humidity_1 56.7",
	},
}
