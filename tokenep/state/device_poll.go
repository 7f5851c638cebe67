package state

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
)

// Check is a poll: the device asks whether it is allowed (RFC 8628 §3.4). check decides whether
// whoever presents the code may; if it returns an error, that is what Check returns, and nothing
// has happened.
//
// ErrPending, ErrSlowDown, ErrDenied and ErrExpired say what the device is to be told (§3.5); the
// other errors that Is ErrRefused mean that the device code is not good. A poll that is answered by
// ErrPending or ErrSlowDown is written down, and nothing else is. After ErrSlowDown the device has
// to wait for the Interval of the device that is returned.
func (s Devices) Check(ctx context.Context, deviceCode string, check func(Device) error) (Device, Version, error) {
	if !isDeviceCode(deviceCode) {
		return Device{}, Version{}, fmt.Errorf("%w device code", ErrMalformed)
	}
	decide := s.decidePoll(deviceCode, check)
	d, err := record.Change(ctx, s.Store, kindDevice, deviceCode[:userCodeLength], func(d *storedDevice, expires *time.Time) (bool, error) {
		next := *d
		write, err := decide(&next, expires, false)
		if err == nil {
			return false, nil // Spend does
		}
		*d = next
		return write, err
	})
	if err != nil {
		return d.Value.Device, Version{}, unknown(kindDevice, err)
	}
	return d.Value.Device, Version{&checked[storedDevice]{Stored: d, decide: decide}}, nil
}

// Spend uses up a device code that Check has allowed: of all who spend it, one succeeds. Its errors
// are those of Check, and ErrChanged.
//
// A spent device code that is presented again ends nothing. It was never in a browser; and a device
// that asks again after a time-out would end the tokens that are on their way to it.
func (s Devices) Spend(ctx context.Context, v Version) error {
	c, ok := v.of.(*checked[storedDevice])
	if !ok {
		return errOtherVersion
	}
	_, err := c.spend(ctx, s.Store, func(d storedDevice) storedDevice {
		d.Polled, d.Interval = time.Time{}, 0
		return d
	})
	return err
}

func (s Devices) decidePoll(deviceCode string, check func(Device) error) decision[storedDevice] {
	return func(d *storedDevice, _ *time.Time, asked bool) (bool, error) {
		if subtle.ConstantTimeCompare(d.Hash, record.Hash(deviceCode)) != 1 {
			return false, fmt.Errorf("%w device code", ErrUnknown)
		}
		if !asked {
			if err := check(d.Device); err != nil {
				return false, err
			}
		}
		return d.poll(moment(s.Now))
	}
}

func isDeviceCode(text string) bool {
	return len(text) == userCodeLength+secretLength &&
		isUserCode(text[:userCodeLength]) && isBase62(text[userCodeLength:], secretLength)
}

// poll returns what the device is told; nil means that it gets its tokens. It edits the record, and
// changed reports whether there is something to write.
func (d *Device) poll(now time.Time) (changed bool, answer error) {
	switch {
	case !d.Spent.IsZero():
		return false, fmt.Errorf("%w: device code", ErrSpent)
	case !now.Before(d.Expires):
		return false, fmt.Errorf("%w device code", ErrExpired)
	case !d.Denied.IsZero():
		return false, ErrDenied
	case !d.Allowed.IsZero():
		d.Spent = now
		return true, nil
	}
	// When the clock was set back the last poll lies ahead, and does not count.
	if since := now.Sub(d.Polled); since >= 0 && since < d.Interval-pollSlack {
		slower := min(d.Interval+slowDownStep, maxPollInterval)
		changed = slower != d.Interval
		d.Interval = slower
		return changed, ErrSlowDown
	}
	d.Polled = now
	return true, ErrPending
}
