package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"edgebench/procstat"
)

func (r *runner) render(tpl, dst string) error {
	t, err := template.New(filepath.Base(tpl)).Funcs(template.FuncMap{
		"seq": func(n int) []int {
			s := make([]int, n)
			for i := range s {
				s[i] = i
			}
			return s
		},
		"every": r.tv.every,
		"add":   func(a, b int) int { return a + b },
		"mod":   func(a, b int) int { return a % b },
		"min":   func(a, b int) int { return min(a, b) },
		"steps": func(n, step int) []int {
			var s []int
			for i := 0; i < n; i += step {
				s = append(s, i)
			}
			return s
		},
	}).ParseFiles(filepath.Join(r.dir, tpl))
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(r.v.Work, dst))
	if err != nil {
		return err
	}
	defer f.Close()
	return t.Execute(f, r.tv)
}

func (r *runner) startGateway() error {
	var argv []string
	for _, a := range r.p.Command {
		t, err := template.New("arg").Parse(a)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, r.tv); err != nil {
			return err
		}
		argv = append(argv, b.String())
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = r.v.Work
	lf, err := os.OpenFile(filepath.Join(r.v.Work, "gateway.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = lf, lf
	c.SysProcAttr = withUs()
	if err := c.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	r.gwMu.Lock()
	r.gw, r.gwDone = c, done
	r.gwMu.Unlock()
	go func() {
		c.Wait()
		close(done)
		r.gwMu.Lock()
		again := r.supervise > 0 && !r.ending
		r.gwMu.Unlock()
		if !again {
			return
		}
		time.Sleep(r.supervise)
		r.gwMu.Lock()
		again = !r.ending
		r.restarts++
		r.gwMu.Unlock()
		if again {
			r.startGateway()
		}
	}()
	return nil
}

// setEnding says whether an exit of the gateway is our own doing.
func (r *runner) setEnding(on bool) {
	r.gwMu.Lock()
	r.ending = on
	r.gwMu.Unlock()
}

func (r *runner) killGateway() {
	s := sample(r.gw.Process.Pid)
	r.gwCPU += s.CPU
	r.gwWB += s.WriteBytes
	r.gwSys += s.Syscw
	r.gwPeak = max(r.gwPeak, s.Peak)
	r.setEnding(true)
	r.gw.Process.Kill()
	<-r.gwDone
}

// gwSample is the gateway's totals over all its incarnations.
func (r *runner) gwSample() procstat.Sample {
	s := sample(r.gw.Process.Pid)
	s.CPU += r.gwCPU
	s.WriteBytes += r.gwWB
	s.Syscw += r.gwSys
	s.Peak = max(s.Peak, r.gwPeak)
	return s
}

func (r *runner) cleanup() {
	close(r.stop)
	r.setEnding(true)
	if r.gw != nil {
		select {
		case <-r.gwDone:
		default:
			r.gw.Process.Signal(syscall.SIGTERM)
			select {
			case <-r.gwDone:
			case <-time.After(8 * time.Second):
				r.gw.Process.Kill()
				<-r.gwDone
			}
		}
	}
	if r.sim != nil {
		r.sim.Close()
	}
	for _, c := range []*exec.Cmd{r.local, r.cloud} {
		if c != nil && c.ProcessState == nil {
			c.Process.Signal(syscall.SIGCONT)
			stopProc(c)
		}
	}
}
