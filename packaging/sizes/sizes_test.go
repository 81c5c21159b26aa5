package main

import (
	"maps"
	"testing"
)

func TestModules(t *testing.T) {
	got := modules([]byte(`  401000       10 T runtime.main
  401000       100 T fieldbridge/store/segment.(*Reader).Next
  401000       200 T main.main
  401000       1000 T github.com/eclipse/paho%2emqtt%2egolang.(*client).Connect
  401000       1 T github.com/eclipse/paho.mqtt.golang/packets.init
  401000       2000 T github.com/mochi-mqtt/server/v2/packets.init
  401000       7 T type:.eq.go.etcd.io/bbolt.Info
  401000       8 r go:itab.*go.yaml.in/yaml/v4.Node,error
  401000       9 T slices.SortFunc[go.shape.struct { github.com/a/b.x int }]
  401000       33554432 D crypto/internal/fips140/drbg.memory
  401000       5 B fieldbridge/store.table
           0 U something
`))
	want := map[string]int64{"Go itself": 19, "fieldbridge": 300, "github.com/eclipse/paho.mqtt.golang": 1001,
		"github.com/mochi-mqtt/server": 2000, "go.etcd.io/bbolt": 7, "go.yaml.in/yaml": 8}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
