package first

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/cmd/fieldbridge/byhand"
	"fieldbridge/configs/profiles"
	"fieldbridge/southbound/modbus/wire"
)

// ErrStopped is that who was asked stopped it: nothing is written.
var ErrStopped = errors.New("stopped, nothing was written")

// Asker asks who sits at a terminal.
type Asker struct {
	out   io.Writer
	lines chan string // of answers; closed at their end
	ended bool
}

// NewAsker asks on out and reads answers from in. Reading ends with the process:
// nothing else can end it on a terminal.
func NewAsker(in io.Reader, out io.Writer) *Asker {
	a := &Asker{out: out, lines: make(chan string)}
	go func() {
		defer close(a.lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			a.lines <- s.Text()
		}
	}()
	return a
}

// ask asks until an answer is taken; an empty one is the proposal. Where nobody
// answers any more the proposal is the answer.
func (a *Asker) ask(ctx context.Context, text, proposal string, take func(answer string) error) error {
	for {
		fmt.Fprint(a.out, text)
		if proposal != "" {
			fmt.Fprintf(a.out, " [%s]", proposal)
		}
		fmt.Fprint(a.out, ": ")
		answer := ""
		if !a.ended {
			select {
			case <-ctx.Done():
				fmt.Fprintln(a.out)
				return ErrStopped
			case line, ok := <-a.lines:
				answer, a.ended = strings.TrimSpace(line), !ok
			}
		}
		if answer == "" {
			answer = proposal
		}
		err := take(answer)
		if err == nil {
			return nil
		}
		if a.ended {
			return fmt.Errorf("%s: %w", text, err)
		}
		fmt.Fprintf(a.out, "  %v\n", err)
	}
}

// yes asks what is yes or no.
func (a *Asker) yes(ctx context.Context, text, proposal string) (yes bool, err error) {
	err = a.ask(ctx, text+" (y/n)", proposal, func(answer string) error {
		switch strings.ToLower(answer) {
		case "y", "yes":
			yes = true
		case "n", "no":
			yes = false
		default:
			return fmt.Errorf("%q is neither yes nor no: answer y or n", answer)
		}
		return nil
	})
	return yes, err
}

// Fill asks for what a first configuration needs, and looks at the device that is
// named. name is proposed for the gateway.
func (a *Asker) Fill(ctx context.Context, s *Starter, name string) error {
	fits := func(set func(s *Starter, answer string)) func(string) error {
		return func(answer string) error {
			try := Starter{Gateway: "g"}
			set(&try, answer)
			_, err := try.Parse("f.yaml")
			if err == nil {
				set(s, answer)
			}
			return err
		}
	}
	if err := a.ask(ctx, "Name of the gateway, its AWS thing name", name,
		fits(func(s *Starter, answer string) { s.Gateway = answer })); err != nil {
		return err
	}
	if err := a.ask(ctx, "AWS IoT data endpoint, empty for later (aws iot describe-endpoint --endpoint-type iot:Data-ATS)",
		"", fits(func(s *Starter, answer string) { s.Endpoint = answer })); err != nil {
		return err
	}
	if err := a.device(ctx, s); err != nil {
		return err
	}
	var err error
	s.Sensors, err = a.yes(ctx, "Do MQTT sensors publish to this machine?", "n")
	return err
}

// device asks for a bus and looks who is there, again until something is found or
// is not wanted.
func (a *Asker) device(ctx context.Context, s *Starter) error {
	for {
		text := "Modbus device: HOST[:PORT] or a serial port"
		if ports := wire.SerialPorts(); ports != nil {
			text += " (" + strings.Join(ports, ", ") + ")"
		}
		if err := a.ask(ctx, text+", empty for none", "", s.SetBus); err != nil || s.Bus.URL == "" {
			return err
		}
		first, last, err := a.units(ctx, s)
		if err != nil {
			return err
		}
		units, err := a.look(ctx, s, first, last)
		switch {
		case ctx.Err() != nil:
			return ErrStopped
		case err != nil:
			fmt.Fprintf(a.out, "  %v\n", err)
		case units == nil:
			fmt.Fprintln(a.out, "  nothing answered: check the wiring, the power, and for other unit ids")
		default:
			return a.take(ctx, s, units)
		}
		again, err := a.yes(ctx, "Try again? Else the file has an example of a device there", "n")
		if err != nil || !again {
			return err
		}
	}
}

// units asks how a serial line is set, and which units to look for.
func (a *Asker) units(ctx context.Context, s *Starter) (first, last int, err error) {
	if s.Serial() {
		if err := a.ask(ctx, "Speed and parity of the line, as 9600 even; or find", "find", s.setLine); err != nil {
			return 0, 0, err
		}
	}
	err = a.ask(ctx, "Unit ids to look for, as 1 or 1-10", "1-10", func(answer string) (err error) {
		first, last, err = Units(answer)
		return err
	})
	return first, last, err
}

// setLine takes the settings of a serial line, as 9600 even or 19200 none 2; with
// find the speed is 0.
func (s *Starter) setLine(answer string) error {
	url := s.Bus.URL
	s.Bus.SetDefaults()
	s.Bus.URL = url
	if strings.EqualFold(answer, "find") {
		s.Bus.Baud = 0
		return nil
	}
	wrong := fmt.Errorf("%q is not a setting: write 9600 even, 19200 none or 9600 none 2 (stop bits), or find", answer)
	parts := strings.Fields(strings.ToLower(answer))
	if len(parts) == 0 || len(parts) > 3 {
		return wrong
	}
	baud, err := strconv.Atoi(parts[0])
	if err != nil || baud < 300 {
		return wrong
	}
	s.Bus.Baud = baud
	if len(parts) > 1 {
		if s.Bus.Parity = parts[1]; !slices.Contains([]string{"even", "odd", "none"}, parts[1]) {
			return wrong
		}
	}
	if len(parts) > 2 {
		if s.Bus.StopBits, err = strconv.Atoi(parts[2]); err != nil || s.Bus.StopBits < 1 || s.Bus.StopBits > 2 {
			return wrong
		}
	}
	return nil
}

// Units reads unit ids: FIRST-LAST, or one.
func Units(text string) (first, last int, err error) {
	from, to, span := strings.Cut(text, "-")
	if !span {
		to = from
	}
	first, err1 := strconv.Atoi(strings.TrimSpace(from))
	last, err2 := strconv.Atoi(strings.TrimSpace(to))
	if err1 != nil || err2 != nil || first < 0 || last > 255 || first > last {
		return 0, 0, fmt.Errorf("%q are no unit ids: write 1 or 1-10, of 0 to 255", text)
	}
	return first, last, nil
}

// look finds the settings of the line, if they are not known, and the units.
func (a *Asker) look(ctx context.Context, s *Starter, first, last int) ([]byhand.Unit, error) {
	if s.Serial() && s.Bus.Baud == 0 {
		url := s.Bus.URL
		s.Bus.SetDefaults()
		s.Bus.URL = url
		if ok, err := s.Line(ctx, first, last, a.out); err != nil || !ok {
			return nil, err
		}
	}
	return s.Scan(ctx, first, last, a.out)
}

// take asks what each unit is, and how it is to be called.
func (a *Asker) take(ctx context.Context, s *Starter, units []byhand.Unit) error {
	s.Devices = nil
	for _, u := range units {
		d := Device{Name: fmt.Sprintf("device-%d", u.Unit), Unit: u.Unit}
		proposal := "none"
		if len(u.Profiles) > 0 {
			proposal = u.Profiles[0]
		}
		err := a.ask(ctx, fmt.Sprintf("Profile of unit %d, a part of its name to search, or none", u.Unit), proposal,
			func(answer string) error {
				if d.Profile = answer; strings.EqualFold(answer, "none") {
					d.Profile = ""
					return nil
				}
				return a.profile(answer)
			})
		if err != nil {
			return err
		}
		err = a.ask(ctx, fmt.Sprintf("Name of unit %d in the cloud, or skip", u.Unit), d.Name, func(answer string) error {
			d.Name = answer
			if slices.ContainsFunc(s.Devices, func(o Device) bool { return o.Name == answer }) {
				return fmt.Errorf("%s is the name of another unit", answer)
			}
			_, err := Starter{Gateway: "g", Bus: s.Bus, Devices: []Device{d}}.Parse("f.yaml")
			return err
		})
		if err != nil {
			return err
		}
		if d.Name != "skip" {
			s.Devices = append(s.Devices, d)
		}
	}
	return nil
}

// mostProfiles are listed for a part of a name.
const mostProfiles = 12

// profile takes the name of a profile, or lists those that a part of it may mean.
func (a *Asker) profile(name string) error {
	err := knownProfile(name)
	if err == nil {
		return nil
	}
	var like []string
	for _, n := range profiles.Names() {
		p := profiles.Find(n)
		if p != nil && strings.Contains(strings.ToLower(n+" "+p.Maker+" "+strings.Join(p.Models, " ")),
			strings.ToLower(name)) {
			like = append(like, n)
		}
	}
	switch {
	case len(like) == 0:
		return err
	case len(like) > mostProfiles:
		return fmt.Errorf("%d profiles are like that, among them %s: write more of it", len(like),
			strings.Join(like[:mostProfiles], ", "))
	}
	return fmt.Errorf("meant is one of %s: write its name", strings.Join(like, ", "))
}

// Agree shows what is read by what was answered, and asks whether to write it.
func (a *Asker) Agree(ctx context.Context, file string, show func(context.Context)) error {
	show(ctx)
	ok, err := a.yes(ctx, "Write "+file+"?", "y")
	if err == nil && !ok {
		err = ErrStopped
	}
	return err
}
