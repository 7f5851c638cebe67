package state

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
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
	stored, err := record.Change(ctx, s.Store, kindDevice, deviceCode[:userCodeLength], func(d *storedDevice, _ *time.Time) (bool, error) {
		if subtle.ConstantTimeCompare(d.Hash, record.Hash(deviceCode)) != 1 {
			return false, fmt.Errorf("%w device code", ErrUnknown)
		}
		if err := check(d.Device); err != nil {
			return false, err
		}
		return d.poll(moment(s.Now))
	})
	d := stored.Value.Device
	if err == nil {
		err = s.unspent(ctx, d.Family)
	}
	if err != nil {
		return d, Version{}, unknown(kindDevice, err)
	}
	return d, Version{&d}, nil
}

// unspent returns an error if the family of a device is there: then its code was spent, or what the
// user allowed was revoked.
func (s Devices) unspent(ctx context.Context, family string) error {
	f, err := record.Load[storedFamily](ctx, s.Store, kindFamily, family)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.mayStart(&f.Value, family)
}

func (s Devices) mayStart(f *storedFamily, id string) error {
	switch {
	case !f.Revoked.IsZero(), s.Families.Revocations.endsGrant(id):
		return fmt.Errorf("%w before it started", ErrRevoked)
	case !f.Started.IsZero():
		return fmt.Errorf("%w: device code", ErrSpent)
	}
	return nil
}

// Spend uses up a device code that Check has allowed: of all who spend it, one succeeds. Its errors
// are those of Check. After any error that is not ErrRefused the code may have been spent: a new
// Check tells.
//
// A spent device code that is presented again ends nothing. It was never in a browser; and a device
// that asks again after a time-out would end the tokens that are on their way to it.
func (s Devices) Spend(ctx context.Context, v Version) error {
	_, err := s.spend(ctx, v, func(f *storedFamily, now time.Time) { f.Started = now })
	return err
}

// Redeem is Spend that starts the family of the device, in the same write, and returns its first
// refresh token. It uses the same fields of f as Families.Start.
func (s Devices) Redeem(ctx context.Context, v Version, f Family) (token string, made Family, err error) {
	if err := s.Families.validate(f); err != nil {
		return "", Family{}, err
	}
	t := newRefreshToken()
	made, err = s.spend(ctx, v, func(stored *storedFamily, now time.Time) {
		t.family, _ = parseFamilyID(stored.ID) // Start made it
		f.ID = stored.ID
		s.Families.begin(stored, f, t, now)
	})
	if err != nil {
		return "", Family{}, err
	}
	return t.format(s.Families.MAC), made, nil
}

// spend writes the record of the family, which says that the device code was spent. That is the one
// write: the record of the device does not change any more once the user has decided.
func (s Devices) spend(ctx context.Context, v Version, start func(*storedFamily, time.Time)) (Family, error) {
	d, ok := v.of.(*Device)
	if !ok {
		return Family{}, errOtherVersion
	}
	f, err := record.Upsert(ctx, s.Store, kindFamily, d.Family, func(f *storedFamily, expires *time.Time) (bool, error) {
		now := moment(s.Now)
		if err := s.mayStart(f, d.Family); err != nil {
			return false, err
		}
		if !now.Before(d.Expires) {
			return false, fmt.Errorf("%w device code", ErrExpired)
		}
		f.ID = d.Family
		start(f, now)
		// At least as long as that of the device.
		*expires = s.Families.kept(f.Family, d.Expires.Add(deviceTail))
		return true, nil
	})
	return f.Value.Family, err
}

func isDeviceCode(text string) bool {
	return len(text) == userCodeLength+secretLength &&
		isUserCode(text[:userCodeLength]) && isBase62(text[userCodeLength:], secretLength)
}

// poll returns what the device is told; nil means that it is allowed. It edits the record, and
// changed reports whether there is something to write.
func (d *Device) poll(now time.Time) (changed bool, answer error) {
	switch {
	case !now.Before(d.Expires):
		return false, fmt.Errorf("%w device code", ErrExpired)
	case !d.Denied.IsZero():
		return false, ErrDenied
	case !d.Allowed.IsZero():
		return false, nil
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
