package awsiot

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/pause"
)

const (
	// runsAtOnce is how many run records one birth lists.
	runsAtOnce = 200
	// statusRetry is when a status message that was refused is tried again.
	statusRetry = 5 * time.Minute
	// goodbyeTime is how long a stop waits for the cloud to know of it.
	goodbyeTime = time.Second
	// healthCheck is how often health is looked at.
	healthCheck = 10 * time.Second
	// sameHealth is how often health is told whose conditions are the same, in other
	// words: a count in a text would cost a message each time it grows.
	sameHealth = 15 * time.Minute
)

// status tells the cloud, on the status topic of one connection, what is not a
// reading: birth, last will, catalogue, tombstones.
type status struct {
	sink   *Sink
	topic  string
	number uint64 // of the connection
	link   *uplink.Session
	choice life.Choice           // of the identity that link has
	told   map[string]toldDevice // the catalogue as the cloud has it
	reborn bool                  // the catalogue is to have what was removed, too

	born     <-chan error // the birth's outcome
	bornRuns []string     // what it told of
	pace     <-chan time.Time
	again    chan struct{}   // one value: tell birth and catalogue again
	unwell   []toldCondition // what was last told of health
	unwellAt time.Time       // when
	config   string          // the hash that the last birth told
	labels   map[string]string
	changed  chan struct{} // one value: hash or labels may have changed
}

// wellness is what is wrong with the gateway now; none means healthy.
type wellness struct {
	payload.Header
	Conditions []toldCondition `json:"conditions"`
}

type toldCondition struct {
	Code     string             `json:"code"`
	Severity condition.Severity `json:"severity"`
	Subject  string             `json:"subject"`
	Text     string             `json:"text"`
	Since    int64              `json:"since"` // epoch milliseconds
}

// same reports whether both tell of one condition, in whatever words.
func (c toldCondition) same(o toldCondition) bool {
	c.Text = o.Text
	return c == o
}

// presence is a birth or an offline message. A will that arrives late has a
// smaller connection number than the birth that it must not undo.
type presence struct {
	payload.Header
	Connection uint64            `json:"connection"`
	Reason     string            `json:"reason,omitempty"`    // of offline: lost, stopped
	LastStop   string            `json:"last_stop,omitempty"` // of the first birth of a run: clean, unclean
	Version    string            `json:"version,omitempty"`
	Config     string            `json:"config,omitempty"` // hash of the configuration
	Labels     map[string]string `json:"labels,omitempty"`
	Runs       []runRecord       `json:"runs,omitempty"`
}

type runRecord struct {
	bridge.RunRecord
	Started int64 `json:"started"` // epoch milliseconds
}

func newStatus(s *Sink, cfg *Config) *status {
	return &status{sink: s, topic: StatusTopic(cfg, s.options.Gateway, s.currentLabels()),
		told:  make(map[string]toldDevice),
		again: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
}

// StatusTopic returns where a gateway's birth and last will go. cfg is valid for
// the gateway and its labels.
func StatusTopic(cfg *Config, gateway string, labels map[string]string) string {
	text := cfg.StatusTopic
	if text == "" {
		text = "fieldbridge/{gateway}/status"
	}
	t, _ := payload.ParseTopic(text, gateway, labels)
	return t.Fill("", "")
}

func (s *status) header(kind string) payload.Header {
	o := &s.sink.options
	return payload.Header{V: 1, Gateway: o.Gateway, Run: o.Run, Type: kind, At: time.Now().UnixMilli()}
}

// will returns what the cloud is to publish if we vanish. Its time is that of
// the connection's begin.
func (s *status) will() uplink.Will {
	return uplink.Will{Topic: s.topic, Payload: payload.Encode(presence{Header: s.header("offline"), Connection: s.number,
		Reason: "lost"})}
}

// online returns a birth and the runs that it tells of.
func (s *status) online() (presence, []string) {
	o := &s.sink.options
	p := presence{Header: s.header("online"), Connection: s.number, Version: o.Version, Config: s.sink.ConfigHash(),
		Labels: s.sink.currentLabels()}
	if m := s.sink.last; m != nil && !s.sink.born.Load() {
		p.LastStop = m.lastStop()
	}
	var ids []string
	if o.Notices != nil {
		for _, r := range o.Notices.Runs() {
			if len(ids) == runsAtOnce {
				break
			}
			p.Runs = append(p.Runs, runRecord{RunRecord: r, Started: r.Started.UnixMilli()})
			ids = append(ids, r.Run)
		}
	}
	return p, ids
}

// birth sends the first message of the connection; run waits for its outcome.
func (s *status) birth() {
	p, runs := s.online()
	s.config, s.labels = p.Config, p.Labels
	s.born, s.bornRuns = s.publish(payload.Encode(p)), runs
}

// goodbye says that we go on purpose. It waits a moment for the cloud to have it.
func (s *status) goodbye() {
	outcome := s.publish(payload.Encode(presence{Header: s.header("offline"), Connection: s.number, Reason: "stopped"}))
	select {
	case err := <-outcome:
		if err != nil {
			s.sink.log.Debug("the cloud does not take the goodbye", "err", err)
		}
	case <-time.After(goodbyeTime):
	}
}

// publish sends a message. The channel gets its outcome, at the latest when the
// connection ends.
func (s *status) publish(body []byte) <-chan error {
	outcome := make(chan error, 1)
	m := bridge.Message{Topic: s.topic, Payload: body, ContentType: payload.ContentType}
	s.link.Send(&m, nil, func(err error) { outcome <- err })
	return outcome
}

// run tells what there is to tell until ctx ends.
func (s *status) run(ctx context.Context) {
	pace := time.NewTicker(time.Second / uplink.StatusRate)
	defer pace.Stop()
	s.pace = pace.C
	o := &s.sink.options
	var noticed <-chan struct{}
	if o.Notices != nil {
		noticed = o.Notices.Noticed()
	}
	err := s.outcome(<-s.born)
	switch {
	case err == nil:
		s.sink.born.Store(true)
		s.sink.proven(s.choice, s.link.Own())
	case s.choice.Kind == life.OnTrial && s.link.Context().Err() == nil:
		s.sink.life.Unproven(s.choice, err.Error())
	}
	health := pause.NewLook(healthCheck)
	defer health.Stop()
	if err == nil && o.Notices != nil && len(s.bornRuns) > 0 {
		o.Notices.AckRuns(s.bornRuns...)
	}
	var retry <-chan time.Time
	for ctx.Err() == nil {
		var changed <-chan struct{}
		if err == nil {
			changed, err = s.round(ctx)
		}
		if err != nil && retry == nil {
			retry = time.After(statusRetry)
		}
		select {
		case <-ctx.Done():
		case <-noticed:
		case <-changed:
		case <-retry:
			err, retry = nil, nil
		case <-health.C:
		case <-s.changed:
		case <-s.again:
			clear(s.told)
			s.reborn = true
			p, _ := s.online()
			err, retry = s.tell(ctx, p), nil
		}
	}
}

// round tells all that the cloud does not know yet. The channel is closed when
// the catalogue changes.
func (s *status) round(ctx context.Context) (<-chan struct{}, error) {
	o := &s.sink.options
	if err := s.configuration(ctx); err != nil {
		return nil, err
	}
	if err := s.health(ctx); err != nil {
		return nil, err
	}
	if o.Notices != nil {
		if err := s.runs(ctx); err != nil {
			return nil, err
		}
		for _, t := range o.Notices.Tombstones() {
			if err := s.tell(ctx, s.lost(t)); err != nil {
				return nil, err
			}
			o.Notices.AckTombstones(t.ID)
		}
	}
	if o.Catalogue == nil {
		return nil, nil
	}
	devices, _, changed := o.Catalogue.Snapshot()
	return changed, s.catalogue(ctx, devices)
}

// configuration tells hash and labels again, in another birth, if they are not
// what was told last: the catalogue of what has changed carries it, too, but there may be
// nothing of that.
func (s *status) configuration(ctx context.Context) error {
	p, _ := s.online()
	if p.Config == s.config && maps.Equal(p.Labels, s.labels) {
		return nil
	}
	p.Runs = nil // they are acknowledged elsewhere
	if err := s.tell(ctx, p); err != nil {
		return err
	}
	s.config, s.labels = p.Config, p.Labels
	return nil
}

// ConfigHash returns the hash that is told.
func (s *Sink) ConfigHash() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hash
}

// SetConfigHash makes hash the one that births and the catalogue tell from now
// on. While there is a connection another birth tells it.
func (s *Sink) SetConfigHash(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hash = hash
	s.tellLocked()
}

// numbered returns the numbers of points that the catalogue tells, nil if messages do not
// use them.
func (s *Sink) numbered() *proto.Book {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Format != payload.Protobuf || s.config.Names {
		return nil
	}
	return s.numbers.Book()
}

// tell lets a connection look at what it has told.
func (s *Sink) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked()
}

// tellLocked lets a connection look at what its birth told.
func (s *Sink) tellLocked() {
	if s.status == nil {
		return
	}
	select {
	case s.status.changed <- struct{}{}:
	default:
	}
}

func (s *Sink) currentLabels() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.labels
}

// health tells what is wrong if it is not what was told last.
func (s *status) health(ctx context.Context) error {
	if s.sink.options.Health == nil {
		return nil
	}
	now := []toldCondition{}
	for _, c := range s.sink.options.Health() {
		if len(now) < mostConditions {
			now = append(now, toldCondition{c.Code, c.Severity, c.Subject, c.Text, millis(c.Since)})
		}
	}
	if slices.Equal(now, s.unwell) ||
		slices.EqualFunc(now, s.unwell, toldCondition.same) && time.Since(s.unwellAt) < sameHealth {
		return nil
	}
	if err := s.tell(ctx, wellness{s.header("health"), now}); err != nil {
		return err
	}
	s.unwell, s.unwellAt = now, time.Now()
	return nil
}

// mostConditions bounds a message about health.
const mostConditions = 100

// runs tells of the runs that did not fit in the birth.
func (s *status) runs(ctx context.Context) error {
	for {
		p, ids := s.online()
		if len(ids) == 0 {
			return nil
		}
		if err := s.tell(ctx, p); err != nil {
			return err
		}
		s.sink.options.Notices.AckRuns(ids...)
	}
}

// tell sends a message, at its pace, and waits for the outcome.
func (s *status) tell(ctx context.Context, v any) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.pace:
	}
	return s.outcome(<-s.publish(payload.Encode(v)))
}

// outcome counts and logs the outcome of a status message.
func (s *status) outcome(err error) error {
	switch {
	case err == nil:
		s.sink.statusSent.Add(1)
	case s.link.Context().Err() == nil:
		s.sink.statusRefused.Add(1)
		s.sink.log.Warn("the cloud does not take a status message", "topic", s.topic, "err", err, "again", statusRetry)
	}
	return err
}

// rebirth has birth and catalogue told again, if there is a connection.
func (s *Sink) rebirth() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == nil {
		return
	}
	select {
	case s.status.again <- struct{}{}:
	default:
	}
}

// report returns what the shadow is to say.
func (s *Sink) report() map[string]any {
	l := s.Link()
	state := map[string]any{"version": s.options.Version, "platform": runtime.GOOS + "/" + runtime.GOARCH,
		"config": s.ConfigHash(), "run": s.options.Run, "connected_since": l.Since.UnixMilli()}
	if l.Own != nil {
		state["certificate_expires"] = l.Own.Expires.UnixMilli()
	}
	if i := l.Identity; i != nil {
		told := map[string]any{"way": i.Way, "key_copyable": i.Copyable}
		if !i.Rotates.IsZero() {
			told["rotates"] = i.Rotates.UnixMilli()
		}
		state["identity"] = told
	}
	if s.options.Report != nil {
		maps.Copy(state, s.options.Report())
	}
	return state
}
