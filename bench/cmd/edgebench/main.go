// Edgebench measures gateways between Modbus slaves or MQTT sensors and an
// mTLS MQTT broker. See the README.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"edgebench/modbussim"
	"edgebench/procstat"
)

func main() {
	cmds := map[string]func([]string) error{"run": run, "sim": simCmd, "load": loadCmd, "watch": watchCmd,
		"report": reportCmd, "pairs": pairsCmd, "flash": flashCmd, "peers": peersCmd}
	if len(os.Args) < 2 || cmds[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: edgebench run|pairs|peers|flash|sim|load|watch|report [flags]   (each takes -h)")
		os.Exit(2)
	}
	if err := cmds[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "edgebench:", err)
		os.Exit(1)
	}
}

// simCmd runs the slaves alone and prints totals each second.
func simCmd(args []string) error {
	fs := flag.NewFlagSet("sim", flag.ExitOnError)
	var c modbussim.Config
	fs.StringVar(&c.Host, "host", "127.0.0.1", "listen address")
	fs.IntVar(&c.BasePort, "port", portSim, "first port")
	fs.IntVar(&c.Ports, "ports", 10, "ports")
	fs.IntVar(&c.Units, "units", 1, "unit ids behind each port")
	fs.IntVar(&c.Registers, "registers", 1000, "registers per unit")
	fs.DurationVar(&c.Delay, "delay", 0, "response delay")
	d := fs.Duration("for", time.Hour, "how long")
	fs.Parse(args)
	s, err := modbussim.Start(c)
	if err != nil {
		return err
	}
	defer s.Close()
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, os.Interrupt)
	end := time.After(*d)
	for t := time.NewTicker(time.Second); ; {
		select {
		case <-t.C:
			json.NewEncoder(os.Stdout).Encode(s.Stats())
		case <-end:
			return nil
		case <-sig:
			return nil
		}
	}
}

// loadCmd runs the sensor load alone.
func loadCmd(args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	addr := fs.String("addr", fmt.Sprintf("127.0.0.1:%d", portLocal), "broker")
	n := fs.Int("sensors", 200, "topics")
	rate := fs.Float64("rate", 1000, "messages per second")
	d := fs.Duration("for", 10*time.Second, "how long")
	fs.Parse(args)
	l := startLoad(*addr, *n, *rate, 4)
	time.Sleep(*d)
	l.Stop()
	fmt.Println("sent", l.sent.Load(), "skipped", l.skipped.Load())
	return nil
}

// watchCmd reports what a process used over a while.
func watchCmd(args []string) error {
	fs := flag.NewFlagSet("watch", flag.ExitOnError)
	pid := fs.Int("pid", 0, "process")
	d := fs.Duration("for", 10*time.Second, "how long")
	fs.Parse(args)
	a, err := procstat.Read(*pid)
	if err != nil {
		return err
	}
	time.Sleep(*d)
	b, err := procstat.Read(*pid)
	if err != nil {
		return err
	}
	fmt.Printf("cpu %.3f s  rss %.1f MiB  peak %.1f MiB  write_bytes %d  wchar %d  syscw %d  threads %d\n", b.CPU-a.CPU,
		float64(b.RSS)/(1<<20), float64(b.Peak)/(1<<20), b.WriteBytes-a.WriteBytes, b.WChar-a.WChar, b.Syscw-a.Syscw,
		b.Threads)
	return nil
}
