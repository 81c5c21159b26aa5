package store

import "errors"

// Apply makes cfg what holds from now on, as if the queue had been opened with
// it: a shorter commit_every commits at once what is older, and limits that are
// below what the queue takes are reached with the next commit, by when_full.
// The folder stays: a cfg that names another one is an error and changes
// nothing.
func (q *Queue) Apply(cfg Config) error {
	if cfg.Dir != q.cfg.Load().Dir {
		return errors.New("the folder of the queue changes only with a restart")
	}
	q.cfg.Store(&cfg)
	q.mu.Lock()
	q.alarmLocked(q.now())
	q.mu.Unlock()
	q.nudgeBoth() // without commit_every 0s more may be claimed
	return nil
}
