package commission

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// sunSpecNames are those of the models that meters and inverters have.
var sunSpecNames = map[int]string{1: "common", 101: "single-phase inverter", 102: "split-phase inverter",
	103: "three-phase inverter",
	111: "single-phase inverter, floats", 112: "split-phase inverter, floats", 113: "three-phase inverter, floats",
	120: "nameplate", 121: "basic settings", 122: "measurements and status", 123: "immediate controls", 124: "storage",
	160: "MPPT inverter",
	201: "single-phase meter", 202: "split-phase meter", 203: "wye meter", 204: "delta meter",
	211: "single-phase meter, floats", 212: "split-phase meter, floats", 213: "wye meter, floats",
	214: "delta meter, floats",
	802: "battery", 803: "lithium-ion battery"}

// ErrNoSunSpec is that a unit has no SunSpec list.
var ErrNoSunSpec = errors.New("no SunSpec device: " + plan.NoSunSpec)

// SunSpec walks the list of a SunSpec device: it may begin at one of three
// addresses, and what models it has, and where, differs from device to device.
func (m *Master) SunSpec(ctx context.Context, unit int) ([]plan.SunSpecModel, error) {
	m.client.To(ctx, byte(unit), m.timeout)
	for _, base := range plan.SunSpecBases {
		mark, err := m.client.Read(wire.Holding, uint16(base), 2)
		if _, exception := wire.ExceptionCode(err); exception {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("read unit %d holding %d+2: %w", unit, base, err)
		}
		if binary.BigEndian.Uint32(mark) == plan.SunSpecMark {
			return m.models(base + 2)
		}
	}
	return nil, ErrNoSunSpec
}

// models walks the list from the first model on.
func (m *Master) models(at int) ([]plan.SunSpecModel, error) {
	var all []plan.SunSpecModel
	for at+2 <= 1<<16 && len(all) < plan.SunSpecMost {
		head, err := m.client.Read(wire.Holding, uint16(at), 2)
		if err != nil {
			return all, fmt.Errorf("the SunSpec list breaks off at holding %d: %w", at, err)
		}
		id, length := int(binary.BigEndian.Uint16(head)), int(binary.BigEndian.Uint16(head[2:]))
		if id == plan.SunSpecEnd {
			return all, nil
		}
		all = append(all, plan.SunSpecModel{ID: id, Name: sunSpecNames[id], Address: at, Length: length})
		at += 2 + length
	}
	return all, errors.New("the SunSpec list has no end")
}
