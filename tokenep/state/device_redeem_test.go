package state_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// fromDevice is the family that a device gets.
func fromDevice(d state.Device) state.Family {
	return state.Family{ClientID: d.ClientID, Subject: d.Subject, Scope: d.Scope}
}

// redeemDevice is what a token endpoint does with a device code of a client that will refresh.
func redeemDevice(ctx context.Context, s state.Devices, code string) (token string, err error) {
	d, version, err := s.Check(ctx, code, anyDevice)
	if err != nil {
		return "", err
	}
	token, _, err = s.Redeem(ctx, version, fromDevice(d))
	return token, err
}

func mustAllowDevice(t *testing.T, s state.Devices) (code string, made state.Device) {
	t.Helper()
	code, made = mustStartDevice(t, s)
	made, err := s.Allow(t.Context(), made.UserCode, "ann", verify.Scope{"orders"}, state.SignIn{Time: s.Now()})
	must(t, err)
	return code, made
}

// RFC 8628 §3.5: whichever write fails, the device asks again and gets its tokens.
func TestDevicePollThatFailsLosesNothing(t *testing.T) {
	for name, answer := range map[string]func(ctx context.Context, s state.Devices, code string) error{
		"Spend": func(ctx context.Context, s state.Devices, code string) error {
			_, err := poll(ctx, s, code, anyDevice)
			return err
		},
		"Redeem": func(ctx context.Context, s state.Devices, code string) error {
			_, err := redeemDevice(ctx, s, code)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			f := storetest.NewFaulty(newMemory(t, c.Now))
			devices := newDevices(f, c)
			for fails := 0; ; fails++ {
				if fails == 10 {
					t.Fatal("10 writes were not enough")
				}
				code, _ := mustAllowDevice(t, devices)
				verbs := 0
				f.Fail(func(storetest.Call) storetest.Fault {
					if verbs++; verbs == fails+1 {
						return storetest.Away
					}
					return storetest.None
				})
				err := answer(t.Context(), devices, code)
				f.Fail(nil)
				if err == nil {
					if fails < 3 {
						t.Errorf("%d verbs failed; there are more", fails)
					}
					return
				}
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("verb %d fails: %v, want store.ErrUnavailable", fails, err)
				}
				if err := answer(t.Context(), devices, code); err != nil {
					t.Errorf("after verb %d had failed: %v", fails, err)
				}
				if err := answer(t.Context(), devices, code); !errors.Is(err, state.ErrSpent) {
					t.Errorf("a third time: %v, want ErrSpent", err)
				}
			}
		})
	}
}

// A device code is spent for as long as it is kept, also when its family is over before, and
// whichever of the two ways it was spent in.
func TestDeviceCodeIsSpentOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		devices := newDevices(s, c)
		devices.Families.Idle, devices.Life = time.Minute, time.Hour
		code, _ := mustAllowDevice(t, devices)
		token, err := redeemDevice(t.Context(), devices, code)
		must(t, err)
		for range 59 {
			c.Advance(time.Minute)
			if _, err := redeemDevice(t.Context(), devices, code); !errors.Is(err, state.ErrSpent) {
				t.Fatalf("again: %v, want ErrSpent", err)
			}
			if _, err := poll(t.Context(), devices, code, anyDevice); !errors.Is(err, state.ErrSpent) {
				t.Fatalf("again, without a refresh token: %v, want ErrSpent", err)
			}
		}
		wantRotate(t, devices.Families, token, state.ErrExpired)

		code, _ = mustAllowDevice(t, devices)
		_, version, err := devices.Check(t.Context(), code, anyDevice)
		must(t, err)
		must(t, devices.Spend(t.Context(), version))
		if err := devices.Spend(t.Context(), version); !errors.Is(err, state.ErrSpent) {
			t.Errorf("the same version again: %v, want ErrSpent", err)
		}
		if _, err := redeemDevice(t.Context(), devices, code); !errors.Is(err, state.ErrSpent) {
			t.Errorf("with a refresh token: %v, want ErrSpent", err)
		}
	})
}

// Neither time nor a revocation between the check and the spend is missed.
func TestDeviceBetweenCheckAndSpend(t *testing.T) {
	for name, row := range map[string]struct {
		happens func(t *testing.T, s state.Devices, d state.Device, c *clock)
		want    error
	}{
		"it expires": {func(_ *testing.T, _ state.Devices, _ state.Device, c *clock) { c.Advance(state.DefaultDeviceLife) }, state.ErrExpired},
		"it is revoked": {func(t *testing.T, s state.Devices, d state.Device, _ *clock) {
			must(t, s.Families.Revoke(t.Context(), d.Family))
		}, state.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			devices := newDevices(newMemory(t, c.Now), c)
			code, made := mustAllowDevice(t, devices)
			d, version, err := devices.Check(t.Context(), code, anyDevice)
			must(t, err)
			row.happens(t, devices, made, c)
			if _, _, err := devices.Redeem(t.Context(), version, fromDevice(d)); !errors.Is(err, row.want) {
				t.Errorf("Redeem: %v, want %v", err, row.want)
			}
			if _, err := redeemDevice(t.Context(), devices, code); !errors.Is(err, row.want) {
				t.Errorf("asked again: %v, want %v", err, row.want)
			}
		})
	}
}
