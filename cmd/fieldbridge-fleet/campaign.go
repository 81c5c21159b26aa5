package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/setting"
	"fieldbridge/signed"
)

// campaign is the flags of what is rolled out in stages.
type campaign struct {
	signing
	first      string // group
	then       []string
	groups     []string // of the stages
	bucket     string
	role       string
	https      bool
	plan       bool
	again      bool
	shadow     string
	timeout    time.Duration
	rate       int
	abort      int
	abortLeast int
	minutes    int
	window     string
	windowFor  time.Duration
	prepare    string // file that orders are only written to
	prepared   string // file that they are read from
	orders     prepared
}

// cargo is what is brought to gateways: a file, and the order that says what to do
// with it.
type cargo struct {
	operation string
	title     string // for people
	what      any    // of the order
	content   []byte
	sum       string // SHA-256 of the content, hexadecimal
	ending    string // of its name in the bucket
	// fits reports whether it is for a gateway, needs whether that does not have it yet.
	fits, needs func(name string) bool
}

// rest is the stage of all gateways that are in no stage before.
const rest = "rest"

const stagesAre = "Each stage is a job, or several, named after what they bring. Run it twice, and the second " +
	"goes on where\nthe first was. A stage begins when the one before it has ended with no more failures than " +
	"--abort\ntolerates; in all stages but the last none is. The stage 'rest' is all gateways that are in no stage " +
	"before."

// add adds the flags; minutes is how long a gateway usually may take.
func (cs *campaign) add(c *cobra.Command, minutes int) {
	cs.signing.add(c)
	f := c.Flags()
	f.StringVar(&cs.first, "group", rest, "the `NAME` of the group of the file that is first")
	f.StringArrayVar(&cs.then, "then", nil, "the `NAME` of the next group, or rest; again for more stages")
	f.StringVar(&cs.bucket, "bucket", "", "the `BUCKET` of S3 that files lie in")
	f.StringVar(&cs.role, "role", filesRole, "the `NAME` or the ARN of the role by which AWS IoT reads the bucket")
	f.BoolVar(&cs.https, "https", false, "let gateways have the file by HTTPS from S3, not over their MQTT session")
	f.BoolVar(&cs.plan, "plan", false, "only tell what would be done")
	f.StringVar(&cs.prepare, "prepare", "",
		"only sign the orders, and write them to a `FILE` for another person's signature (cosign)")
	f.StringVar(&cs.prepared, "orders", "", "the `FILE` with the orders that were prepared and signed, instead of --key")
	f.BoolVar(&cs.again, "again", false, "do again what is over, as after a return to an older file")
	f.StringVar(&cs.shadow, "shadow", "gateway", "the `NAME` of the gateways' shadow")
	f.DurationVar(&cs.timeout, "timeout", 0, "stop watching after this long; 0 is never")
	f.IntVar(&cs.rate, "rate", 50, "how many gateways are told each minute, 1 to 1000")
	f.IntVar(&cs.abort, "abort", 5, "how many percent may fail before a job is cancelled, 1 to 100")
	f.IntVar(&cs.abortLeast, "abort-after", 0, "how many gateways must have ended before --abort counts; 0: one, and in "+
		"the last stage as many as make one failure no more than --abort")
	f.IntVar(&cs.minutes, "minutes", minutes, "how long one gateway may take, 1 to 10080")
	f.StringVar(&cs.window, "window", "",
		"when jobs may begin on gateways, as cron(0 2 * * ? *): a cron `EXPRESSION` of AWS, in UTC")
	f.DurationVar(&cs.windowFor, "window-length", 2*time.Hour, "how long a window is open")
}

// windows is how AWS writes when a maintenance window opens: minute, hour, day, month,
// weekday, year.
var windows = regexp.MustCompile(`^cron\((\S+ ){5}\S+\)$`)

// mostWindow is how long a window may be open (API_MaintenanceWindow).
const mostWindow = 1430 * time.Minute

// check says which flag is out of AWS's bounds (API_JobExecutionsRolloutConfig,
// API_AbortCriteria, API_TimeoutConfig, API_MaintenanceWindow).
func (cs *campaign) check() error {
	cs.groups = append([]string{cs.first}, cs.then...)
	switch {
	case cs.first == rest && len(cs.then) > 0:
		return errors.New("all gateways are in the stage rest, and none is left for --then: say --group NAME for the " +
			"first stage")
	case cs.rate < 1 || cs.rate > 1000:
		return errors.New("--rate is 1 to 1000 gateways a minute: AWS takes no other")
	case cs.abort < 1 || cs.abort > 100:
		return errors.New("--abort is 1 to 100 percent")
	case cs.abortLeast < 0:
		return errors.New("--abort-after is a number of gateways, or 0")
	case cs.minutes < 1 || cs.minutes > 10080:
		return errors.New("--minutes is 1 to 10080, a week: AWS takes no other")
	case cs.window != "" && !windows.MatchString(cs.window):
		return fmt.Errorf("--window %q is not as AWS writes it: cron(0 2 * * ? *) is each night at two, UTC", cs.window)
	case cs.windowFor < time.Minute || cs.windowFor > mostWindow || cs.windowFor%time.Minute != 0:
		return fmt.Errorf("--window-length is 1m to %v in whole minutes: AWS takes no other", mostWindow)
	case cs.prepared != "" && (cs.prepare != "" || len(cs.keys) > 0):
		return errors.New("--orders brings what was signed before: say neither --key nor --prepare")
	case !cs.plan && cs.prepare == "" && (cs.bucket == "" || cs.role == ""):
		return errors.New("say --bucket BUCKET, and --role if it is not " + filesRole + ": gateways have the file from there")
	case cs.timeout < 0:
		return errors.New("--timeout cannot be negative")
	}
	return nil
}

// split puts each gateway into the first of the stages that it belongs to.
func (w wanted) split(stages []string) ([][]string, error) {
	parts, taken := make([][]string, len(stages)), map[string]bool{}
	for i, stage := range stages {
		if slices.Contains(stages[:i], stage) {
			return nil, fmt.Errorf("%q is named twice", stage)
		}
		for name, g := range w.gateways {
			if !taken[name] && (stage == rest || slices.Contains(g.groups, stage)) {
				taken[name] = true
				parts[i] = append(parts[i], name)
			}
		}
		slices.Sort(parts[i])
		if len(parts[i]) == 0 && stage != rest {
			return nil, w.nobody(stage)
		}
	}
	return parts, nil
}

// nobody says why no gateway is in a stage.
func (w wanted) nobody(stage string) error {
	groups := map[string]bool{}
	for _, g := range w.gateways {
		for _, name := range g.groups {
			groups[name] = true
		}
	}
	if groups[stage] {
		return fmt.Errorf("all gateways of the group %q are in a stage before: leave it out", stage)
	}
	names := slices.Collect(maps.Keys(groups))
	return fmt.Errorf("no gateway of the file is of the group %q: %s", stage,
		setting.Meant(stage, names, setting.Choice("there are", names)))
}

// run brings what load gives for the gateways of the account to the stages.
func (cs *campaign) run(c *cobra.Command, parts [][]string, load func([]account.Gateway) []cargo) error {
	ctx := c.Context()
	if cs.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cs.timeout)
		defer cancel()
		c.SetContext(ctx)
	}
	var signer *rollout.Signer
	var err error
	switch {
	case cs.plan:
	case cs.prepared != "":
		if cs.orders, err = readPrepared(cs.prepared); err != nil {
			return usageError{fmt.Errorf("--orders %s: %w", cs.prepared, err)}
		}
	default:
		if signer, err = cs.signer(c.InOrStdin()); err != nil {
			return err
		}
	}
	a, err := open(c)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(cs.role, "arn:") {
		cs.role = a.RoleARN(cs.role)
	}
	found, err := a.Gateways(ctx, "*", cs.shadow)
	if err != nil {
		return err
	}
	stages, loads := cs.stages(c.ErrOrStderr(), found, load(found), parts)
	if cs.plan || len(stages) == 0 {
		return nil
	}
	if cs.prepare != "" || signer == nil { // before anything is begun
		orders, err := cs.sign(signer, stages, loads)
		if err == nil && cs.prepare != "" {
			return orders.write(cs.prepare)
		} else if err != nil {
			return err
		}
	}
	fill := cs.filler(ctx, a, signer, loads)
	for i := range stages {
		stages[i].Fill = fill
	}
	_, err = run(c, a, stages, cs.again)
	return err
}

// stages returns the jobs that bring cargoes to the parts of a fleet, by stages and
// without documents, and which cargo each brings; it tells at w what is to do.
func (cs *campaign) stages(w io.Writer, found []account.Gateway, cargoes []cargo,
	parts [][]string) (stages []rollout.Stage, loads map[string]cargo) {
	known := map[string]bool{}
	for _, g := range found {
		known[g.Name] = true
	}
	loads = map[string]cargo{}
	for i, names := range parts {
		s := rollout.Stage{Name: cs.groups[i]}
		if i == len(parts)-1 {
			s.Tolerated = cs.abort
		}
		todo, left, gone := 0, 0, 0
		for _, one := range cargoes {
			jobs := cs.jobs(s, one, names)
			for _, j := range jobs {
				loads[j.ID] = one
				todo += len(j.Things)
			}
			s.Jobs = append(s.Jobs, jobs...)
		}
		for k := range s.Jobs {
			s.Jobs[k].PerMinute = max(1, cs.rate/len(s.Jobs)) // they are under way side by side
			if cs.https {
				s.Jobs[k].Role = cs.role
			}
		}
		for _, name := range names {
			switch {
			case !known[name]:
				gone++
			case !slices.ContainsFunc(cargoes, func(one cargo) bool { return one.fits(name) }):
				left++
			}
		}
		fmt.Fprintf(w, "%s: %d gateways, %d to change, %d are no things of the account%s\n", s.Name, len(names),
			todo, gone, map[bool]string{true: fmt.Sprintf(", %d have a processor that nothing is for, or do not say which",
				left)}[left > 0])
		if len(s.Jobs) > 0 {
			stages = append(stages, s)
		}
	}
	return stages, loads
}

// mostTargets is how many gateways one job is for ("the total number of
// targets associated with a job must not exceed 100", API_AssociateTargetsWithJob).
const mostTargets = 100

// nameSum is how many digits of a file's sum are in the names of its jobs.
const nameSum = 16

// jobs returns the jobs that bring a cargo to the gateways of a stage, without their
// documents.
func (cs *campaign) jobs(s rollout.Stage, one cargo, names []string) (jobs []account.Job) {
	clean := strings.Map(func(r rune) rune { // what AWS takes in the name of a job
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, s.Name)
	who := sha256.Sum256([]byte(s.Name)) // long names may begin alike
	abort, least := cs.abort, (99+cs.abort)/cs.abort
	if s.Tolerated == 0 {
		abort, least = 1, 1 // one in a hundred is one: a job has no more gateways
	}
	if cs.abortLeast > 0 {
		least = cs.abortLeast
	}
	fit := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !one.fits(name) })
	for n, part := range slices.Collect(slices.Chunk(fit, mostTargets)) {
		// Its name stays when some of them are done: so the job is found again.
		left := slices.DeleteFunc(slices.Clone(part), func(name string) bool { return !one.needs(name) })
		if len(left) == 0 {
			continue
		}
		id := fmt.Sprintf("%s%s-%s-%.8s-%x-%d", rollout.Prefix, one.operation, one.sum[:nameSum], clean, who[:2], n+1)
		title := s.Name
		if n > 0 {
			title = fmt.Sprintf("%s, part %d", s.Name, n+1)
		}
		jobs = append(jobs, account.Job{ID: id, Things: left, Description: one.title + " to " + title, Abort: abort,
			AbortLeast: least, Minutes: cs.minutes, Window: cs.window, WindowFor: cs.windowFor})
	}
	return jobs
}

// order returns the order for a job, signed now or before.
func (cs *campaign) order(signer *rollout.Signer, job string, things []string, one cargo) (*signed.Envelope, error) {
	if signer == nil {
		return cs.orders.find(job, one.operation, things, one.what)
	}
	return signer.Order(one.operation, signed.Targets{Gateways: things}, one.what, time.Now())
}

// sign returns the orders for all jobs.
func (cs *campaign) sign(signer *rollout.Signer, stages []rollout.Stage, loads map[string]cargo) (prepared, error) {
	p := prepared{map[string]*signed.Envelope{}}
	for _, s := range stages {
		for _, j := range s.Jobs {
			order, err := cs.order(signer, j.ID, j.Things, loads[j.ID])
			if err != nil {
				return p, usageError{err}
			}
			p.Orders[j.ID] = order
		}
	}
	return p, nil
}

// filler returns what uploads a job's file, unless a job before has it, too, and gives
// it its document.
func (cs *campaign) filler(ctx context.Context, a *account.Account, signer *rollout.Signer,
	loads map[string]cargo) func(string, *account.Job) error {
	files := map[string]*rollout.File{} // by their sums
	return func(name string, j *account.Job) error {
		one := loads[name]
		if files[one.sum] == nil {
			file, err := cs.upload(ctx, a, one)
			if err != nil {
				return err
			}
			files[one.sum] = file
		}
		order, err := cs.order(signer, name, j.Things, one)
		if err == nil {
			j.Document, err = rollout.Document(order, files[one.sum])
		}
		return err
	}
}

// upload puts a cargo where gateways have it from.
func (cs *campaign) upload(ctx context.Context, a *account.Account, one cargo) (*rollout.File, error) {
	key := "fieldbridge/" + one.operation + "/" + one.sum + one.ending
	if err := a.Upload(ctx, cs.bucket, key, one.content); err != nil {
		return nil, err
	}
	if cs.https {
		return &rollout.File{URL: "${aws:iot:s3-presigned-url:" + a.URL(cs.bucket, key) + "}"}, nil
	}
	file := &rollout.File{Stream: rollout.Prefix + one.sum[:nameSum]}
	return file, a.Stream(ctx, file.Stream, cs.bucket, key, cs.role)
}
