package tokenep_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// A site with many addresses has a part of the places, and the others wait for one request of it,
// not for each of its addresses.
func TestTurnsOfASite(t *testing.T) {
	for name, c := range map[string]struct {
		address func(n int) string
		places  int
	}{
		"a /56": {func(n int) string { return fmt.Sprintf("2001:db8:1:%x::1", n%256) }, 32},
		"a /48": {func(n int) string { return fmt.Sprintf("2001:db8:1:%x::1", n*64) }, 128},
		"a /24": {func(n int) string { return fmt.Sprintf("192.0.2.%d", n%256) }, 128},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := tokenep.NewTurns(1)
				take := func(address string, then func()) {
					release, err := turns.Take(t.Context(), tokenep.Network(netip.MustParseAddr(address)))
					if err == nil {
						then()
						release()
					} else if !errors.Is(err, tokenep.TemporarilyUnavailable) {
						t.Error(err)
					}
				}
				work := func() { time.Sleep(time.Millisecond) }
				var ran, before atomic.Int64
				for n := range 1024 {
					go take(c.address(n), func() { work(); ran.Add(1) })
				}
				synctest.Wait()
				if n := turns.Waiting(); n != c.places {
					t.Errorf("%d requests of a site wait, want %d", n, c.places)
				}
				go take("198.51.100.7", func() { before.Store(ran.Load()) })
				time.Sleep(time.Minute)
				if n := before.Load(); n == 0 || n > 3 {
					t.Errorf("another one waited for %d requests of the site", n)
				}
				if int(ran.Load()) < c.places || turns.Len() != 0 || turns.Waiting() != 0 {
					t.Errorf("%d have run; %d are left", ran.Load(), turns.Len())
				}
			})
		})
	}
}

// Questions about tokens wait, however many there are of one address, up to the bound for all: then
// the last one of whoever has most is refused. Another address waits for one of them.
func TestTokenQueue(t *testing.T) {
	for name, c := range map[string]struct {
		requests, refused int
		others            bool // of addresses that have one request each, when all places are taken
	}{
		"60 of one address":   {requests: 60},
		"all places":          {requests: 1024 + 15},
		"more than there are": {requests: 1024 + 15 + 7, refused: 7},
		"and others come":     {requests: 1024 + 15, refused: 20, others: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := tokenep.NewTokenQueue(16)
				var ran, refused atomic.Int64
				take := func(address string) error {
					release, err := turns.Take(t.Context(), tokenep.Network(netip.MustParseAddr(address)))
					if err != nil {
						return err
					}
					time.Sleep(time.Millisecond)
					ran.Add(1)
					release()
					return nil
				}
				for range c.requests {
					go func() {
						if err := take("192.0.2.1"); errors.Is(err, tokenep.TemporarilyUnavailable) {
							refused.Add(1)
						} else if err != nil {
							t.Error(err)
						}
					}()
				}
				synctest.Wait()
				if c.others {
					for n := range 21 { // one of which has the slot that one address cannot have
						go func() {
							if err := take(fmt.Sprintf("198.51.%d.7", n)); err != nil || ran.Load() > 100 {
								t.Errorf("another one: %v, after %d", err, ran.Load())
							}
						}()
					}
				}
				time.Sleep(time.Minute)
				if int(refused.Load()) != c.refused || turns.Len() != 0 || turns.Waiting() != 0 {
					t.Errorf("%d were refused, want %d; %d are left", refused.Load(), c.refused, turns.Len())
				}
			})
		})
	}
}

// Of what anybody may do, a site has a quarter at most, however many addresses it has.
func TestPaceOfASite(t *testing.T) {
	p := &tokenep.Pace{PerAddress: 4, InAll: 100, Per: time.Hour, Now: time.Now}
	for _, c := range []struct {
		format string
		step   int
		want   int
	}{{"2001:db8:1:%x::1", 1, 16}, {"2001:db8:2:%x::1", 256, 25}, {"192.0.2.%d", 1, 25}} {
		taken := 0
		for n := range 200 {
			if p.Take(netip.MustParseAddr(fmt.Sprintf(c.format, n*c.step))) == nil {
				taken++
			}
		}
		if taken != c.want {
			t.Errorf("%s: %d, want %d", c.format, taken, c.want)
		}
	}
}
