package modbus

import "fieldbridge/bridge/setting"

// Validate returns everything that is wrong with c.
func (c Config) Validate() []setting.Problem { return nil }
