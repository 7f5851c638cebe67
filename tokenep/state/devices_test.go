package state_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func anyDevice(state.Device) error { return nil }

func newDevices(s store.Store, c *clock) state.Devices {
	families, _ := newFamilies(s, c)
	return state.Devices{Store: s, Families: families, Now: c.Now}
}

func mustStartDevice(t *testing.T, s state.Devices) (string, state.Device) {
	t.Helper()
	code, made, err := s.Start(t.Context(), state.Device{ClientID: "tv", Scope: verify.Scope{"orders", "admin"}})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return code, made
}

// RFC 8628 §3.5, as the device and the user see it: who does what after which time, and what comes
// of it.
func TestDeviceRules(t *testing.T) {
	const asks, other, allow, deny, look = "poll", "poll, refused by the check", "allow", "deny", "look"
	type step struct {
		after time.Duration
		do    string
		want  error
	}
	s := time.Second
	for name, steps := range map[string][]step{
		"pending, then allowed":        {{0, asks, state.ErrPending}, {5 * s, asks, state.ErrPending}, {s, look, nil}, {s, allow, nil}, {3 * s, asks, nil}},
		"allowed before the first":     {{0, allow, nil}, {0, asks, nil}},
		"used twice":                   {{0, allow, nil}, {0, asks, nil}, {0, asks, state.ErrSpent}, {0, look, state.ErrDecided}},
		"denied":                       {{0, deny, nil}, {0, asks, state.ErrDenied}, {0, asks, state.ErrDenied}, {0, allow, state.ErrDecided}},
		"decided twice":                {{0, allow, nil}, {0, allow, state.ErrDecided}, {0, deny, state.ErrDecided}, {0, asks, nil}},
		"expired while it waits":       {{600 * s, asks, state.ErrExpired}, {0, look, state.ErrExpired}, {0, allow, state.ErrExpired}},
		"expired after it was allowed": {{0, allow, nil}, {600 * s, asks, state.ErrExpired}},
		"another client's":             {{0, other, errCheck}, {0, asks, state.ErrPending}, {0, allow, nil}, {0, other, errCheck}, {0, asks, nil}},
		"a network's jitter":           {{0, asks, state.ErrPending}, {4 * s, asks, state.ErrPending}},
		"too often":                    {{0, asks, state.ErrPending}, {s, asks, state.ErrSlowDown}, {5 * s, asks, state.ErrSlowDown}, {9 * s, asks, state.ErrPending}},
		"too often, but allowed":       {{0, asks, state.ErrPending}, {s, allow, nil}, {0, asks, nil}},
		"the clock goes back":          {{0, asks, state.ErrPending}, {-time.Hour, asks, state.ErrPending}, {s, asks, state.ErrSlowDown}, {0, allow, nil}, {0, asks, nil}, {0, asks, state.ErrSpent}},
		"the clock goes ahead":         {{0, asks, state.ErrPending}, {time.Hour, asks, state.ErrExpired}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				devices := newDevices(s, c)
				code, made := mustStartDevice(t, devices)
				do := map[string]func() (state.Device, error){
					asks: func() (state.Device, error) { return poll(t.Context(), devices, code, anyDevice) },
					other: func() (state.Device, error) {
						return poll(t.Context(), devices, code, func(state.Device) error { return errCheck })
					},
					allow: func() (state.Device, error) {
						return devices.Allow(t.Context(), strings.ToLower(made.UserCode), "ann", verify.Scope{"orders"}, state.SignIn{Time: c.Now()})
					},
					deny: func() (state.Device, error) { return devices.Deny(t.Context(), made.UserCode) },
					look: func() (state.Device, error) { return devices.Lookup(t.Context(), made.UserCode) },
				}
				for i, step := range steps {
					c.Advance(step.after)
					d, err := do[step.do]()
					if !errors.Is(err, step.want) || d.Family != made.Family || d.ClientID != "tv" {
						t.Errorf("step %d, %s: %+v, %v, want %v", i, step.do, d, err, step.want)
					}
					if step.do == asks && err == nil && (d.Subject != "ann" || d.Scope.String() != "orders") {
						t.Errorf("step %d: allowed %q for %q, want what the user allowed", i, d.Scope, d.Subject)
					}
				}
			})
		})
	}
}

// RFC 8628 §3.5: five seconds more each time. A device that never learns does not make the store
// write for ever.
func TestSlowDownHasAnEnd(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	devices := newDevices(f, c)
	code, _ := mustStartDevice(t, devices)
	writes := 0
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Swap" {
			writes++
		}
		return storetest.None
	})
	interval := state.DefaultPollInterval
	for i := range 100 {
		want := state.ErrSlowDown
		if i == 0 {
			want = state.ErrPending
		} else {
			interval = min(interval+5*time.Second, time.Minute)
		}
		d, err := poll(t.Context(), devices, code, anyDevice)
		if !errors.Is(err, want) || d.Interval != interval {
			t.Fatalf("poll %d: %v, interval %v, want %v, %v", i, err, d.Interval, want, interval)
		}
	}
	if writes != 12 {
		t.Errorf("%d writes, want 12: the poll, and eleven times five seconds", writes)
	}
	c.Advance(time.Minute)
	if _, err := poll(t.Context(), devices, code, anyDevice); !errors.Is(err, state.ErrPending) {
		t.Errorf("after the interval: %v, want ErrPending", err)
	}
}

func TestOfEightParallelPollsOneGetsTheTokens(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		nodes := []state.Devices{newDevices(node(), c), newDevices(node(), c)}
		for range 20 {
			code, made := mustStartDevice(t, nodes[0])
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for !t.Failed() { // as a device does, while the user decides
						_, err := poll(t.Context(), nodes[i%2], code, anyDevice)
						switch {
						case err == nil:
							won.Add(1)
						case errors.Is(err, state.ErrPending), errors.Is(err, state.ErrSlowDown):
							continue
						case !errors.Is(err, state.ErrSpent):
							t.Errorf("poll: %v", err)
						}
						return
					}
				})
			}
			if _, err := nodes[1].Allow(t.Context(), made.UserCode, "ann", verify.Scope{"orders"}, state.SignIn{Time: c.Now()}); err != nil {
				t.Errorf("Allow: %v", err)
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("%d won, want 1", won.Load())
			}
		}
	})
}

// Of one who allows and one who denies, one decides.
func TestUsersWhoDisagree(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		devices := newDevices(s, c)
		for range 20 {
			code, made := mustStartDevice(t, devices)
			var allowed, denied error
			var wg sync.WaitGroup
			wg.Go(func() {
				_, allowed = devices.Allow(t.Context(), made.UserCode, "ann", nil, state.SignIn{Time: c.Now()})
			})
			wg.Go(func() { _, denied = devices.Deny(t.Context(), made.UserCode) })
			wg.Wait()
			_, err := poll(t.Context(), devices, code, anyDevice)
			switch {
			case allowed == nil && errors.Is(denied, state.ErrDecided) && err == nil:
			case denied == nil && errors.Is(allowed, state.ErrDecided) && errors.Is(err, state.ErrDenied):
			default:
				t.Errorf("allowed: %v, denied: %v, poll: %v", allowed, denied, err)
			}
		}
	})
}

func TestDeviceCodeIsStoredAsAHash(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		devices := newDevices(s, c)
		code, made := mustStartDevice(t, devices)
		record, err := s.Load(t.Context(), "device", strings.ReplaceAll(made.UserCode, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(record.Data), code[8:]) {
			t.Errorf("the record has the device code: %s", record.Data)
		}
		guess := code[:8] + strings.Repeat("x", 43)
		if d, err := poll(t.Context(), devices, guess, anyDevice); !errors.Is(err, state.ErrUnknown) {
			t.Errorf("the user code is enough for %+v, %v", d, err)
		}
	})
}

func TestDeviceCodeThatIsNoneCostsNoStoreAccess(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	devices := newDevices(f, c)
	f.Fail(none(t))
	secret := strings.Repeat("x", 43)
	for _, code := range []string{"", "WDJBMJHT", secret, "wdjbmjht" + secret, "WDJB-MJH" + secret, "WDJBMJH0" + secret, "WDJBMJHT-" + secret[1:]} {
		if _, err := poll(t.Context(), devices, code, anyDevice); !errors.Is(err, state.ErrMalformed) {
			t.Errorf("%q: %v, want ErrMalformed", code, err)
		}
	}
	if _, err := devices.Lookup(t.Context(), "nobody knows"); !errors.Is(err, state.ErrMalformed) {
		t.Errorf("Lookup: %v, want ErrMalformed", err)
	}
}

func TestDevicesDrawAnotherUserCodeWhenOneIsTaken(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	devices := newDevices(f, c)
	f.FailNext(2, "Insert", storetest.Conflict)
	code, _ := mustStartDevice(t, devices)
	if _, err := poll(t.Context(), devices, code, anyDevice); !errors.Is(err, state.ErrPending) {
		t.Errorf("poll: %v, want ErrPending", err)
	}
}

func TestOutageIsNoAnswerToADevice(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	devices := newDevices(f, c)
	code, made := mustStartDevice(t, devices)
	if _, err := devices.Allow(t.Context(), made.UserCode, "ann", nil, state.SignIn{Time: c.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"Load", "Insert"} {
		f.Fail(away(verb))
		if _, err := poll(t.Context(), devices, code, anyDevice); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
			t.Errorf("while %s fails: %v, want store.ErrUnavailable", verb, err)
		}
	}
	f.Fail(nil)
	if _, err := poll(t.Context(), devices, code, anyDevice); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestDevicesHoldTheRequestToItsLimits(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*state.Devices, *state.Device){
		"no client":            func(_ *state.Devices, d *state.Device) { d.ClientID = "" },
		"a scope with spaces":  func(_ *state.Devices, d *state.Device) { d.Scope = verify.Scope{"a b"} },
		"longer than an hour":  func(s *state.Devices, _ *state.Device) { s.Life = state.MaxDeviceLife + 1 },
		"a negative interval":  func(s *state.Devices, _ *state.Device) { s.Interval = -1 },
		"an interval of hours": func(s *state.Devices, _ *state.Device) { s.Interval = time.Hour },
	} {
		devices, d := newDevices(newMemory(t, c.Now), c), state.Device{ClientID: "tv"}
		change(&devices, &d)
		if _, _, err := devices.Start(t.Context(), d); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	devices := newDevices(newMemory(t, c.Now), c)
	_, made := mustStartDevice(t, devices)
	if _, err := devices.Allow(t.Context(), made.UserCode, "", nil, state.SignIn{Time: c.Now()}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("allowed by nobody: %v, want ErrInvalid", err)
	}
}
