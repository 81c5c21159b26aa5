package uplink

func validConfig() Config {
	var c Config
	c.SetDefaults()
	c.Endpoint = "a1b2c3d4-ats.iot.eu-central-1.amazonaws.com"
	c.Certificate, c.PrivateKey = "device.pem", "device.key"
	return c
}
