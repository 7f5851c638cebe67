package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindDevice = "device" // id: the letters of the user code; expires after it

// How long a device code is good, and how often a device may ask.
const (
	DefaultDeviceLife = 10 * time.Minute
	MaxDeviceLife     = time.Hour

	DefaultPollInterval = 5 * time.Second // RFC 8628 §3.2
	slowDownStep        = 5 * time.Second // RFC 8628 §3.5
	maxPollInterval     = time.Minute     // from here on a poll that is too early is not written
	pollSlack           = time.Second     // by how much the network may shorten an interval

	// deviceTail is how long a device that still asks is told that its code has expired.
	deviceTail = 5 * time.Minute
)

// Device is what a device has asked for, and what the user said (RFC 8628 §3). All times are whole
// milliseconds, in UTC.
type Device struct {
	UserCode string       `json:"user_code"` // set by Start; as it is shown: XXXX-XXXX
	ClientID string       `json:"client_id"`
	Scope    verify.Scope `json:"scope,omitempty"` // asked for; after Allow: allowed
	Audience []string     `json:"aud,omitempty"`   // RFC 8707 §2

	RegistrationID string `json:"registration_id,omitempty"` // of the client
	Address        string `json:"address,omitempty"`         // from where it asked

	Subject string    `json:"sub,omitempty"` // who allowed it
	SignIn            // of that user
	Allowed time.Time `json:"allowed_at,omitzero"` // zero: not
	Denied  time.Time `json:"denied_at,omitzero"`  // zero: not

	// Family is the ID of the Family that is started when the device gets its tokens, and the
	// grant_id of these. It is set by Start, as are Interval, Created and Expires.
	Family   string        `json:"family"`
	Interval time.Duration `json:"interval"` // how long the device has to wait between two polls
	Created  time.Time     `json:"created,omitzero"`
	Expires  time.Time     `json:"expires,omitzero"`
	Polled   time.Time     `json:"last_polled,omitzero"` // the last poll that was not too early
}

// storedDevice is the record of a device.
type storedDevice struct {
	Device
	Hash []byte `json:"hash"` // SHA-256 of the device code
}

// Devices is the device authorization grant (RFC 8628).
//
// A device is one record until the user has decided, so that one conditional write decides. The
// user finds it by the user code, and the device by the device code, which begins with the letters
// of the user code. The device gets both codes together, so those letters tell it nothing new; the
// rest of the device code is secret.
//
// From then on the record of its family decides, which nobody has before: it is made by the write
// that spends the device code, or by a revocation that comes earlier.
//
// The user code is not a secret: it is shown on a screen, and whoever types it has to sign in. So
// it is stored in clear.
type Devices struct {
	Store    store.Store
	Families Families
	Life     time.Duration    // from Start to Spend; 0: DefaultDeviceLife; at most MaxDeviceLife
	Interval time.Duration    // between polls, at the beginning; 0: DefaultPollInterval
	Now      func() time.Time // the clock
}

// Start makes a device code and a user code (RFC 8628 §3.2). It uses ClientID, RegistrationID,
// Scope, Audience and Address of d. The error Is ErrInvalid when one of them is outside its limits.
func (s Devices) Start(ctx context.Context, d Device) (deviceCode string, made Device, err error) {
	life, interval := orDefault(s.Life, DefaultDeviceLife), orDefault(s.Interval, DefaultPollInterval)
	switch {
	case life < 0 || life > MaxDeviceLife:
		return "", Device{}, invalidf("the life of a device code must be between 0 and %[2]v, got %[1]v", life, MaxDeviceLife)
	case interval < 0 || interval > maxPollInterval:
		return "", Device{}, invalidf("the interval must be between 0 and %[2]v, got %[1]v", interval, maxPollInterval)
	case d.ClientID == "":
		return "", Device{}, invalidf("a device must have a client")
	}
	if err := record.CheckScope(d.Scope); err != nil {
		return "", Device{}, err
	}
	now := moment(s.Now)
	made = Device{
		ClientID: d.ClientID, RegistrationID: d.RegistrationID, Scope: d.Scope, Audience: d.Audience, Address: d.Address,
		Family: NewFamilyID(), Interval: interval, Created: now, Expires: now.Add(life),
	}
	for range Attempts {
		letters := randomUserCode()
		made.UserCode = formatUserCode(letters)
		deviceCode = letters + GenerateSecret()
		err = record.Insert(ctx, s.Store, kindDevice, letters, storedDevice{made, record.Hash(deviceCode)}, made.Expires.Add(deviceTail))
		if !errors.Is(err, store.ErrExists) { // else another device has this user code
			break
		}
	}
	if err != nil {
		return "", Device{}, err
	}
	return deviceCode, made, nil
}

// Lookup returns the device whose user code a user has typed, for the user to decide on (RFC 8628
// §3.3). The error Is ErrMalformed, ErrUnknown, ErrExpired or ErrDecided when there is nothing to
// decide.
func (s Devices) Lookup(ctx context.Context, userCode string) (Device, error) {
	letters, err := parseUserCode(userCode)
	if err != nil {
		return Device{}, err
	}
	d, err := record.Load[storedDevice](ctx, s.Store, kindDevice, letters)
	if err != nil {
		return Device{}, unknown(kindDevice, err)
	}
	return d.Value.Device, d.Value.open(moment(s.Now))
}

// Allow lets the device have tokens of this scope for a user. Its errors are those of Lookup, and
// ErrInvalid.
func (s Devices) Allow(ctx context.Context, userCode, subject string, scope verify.Scope, signIn SignIn) (Device, error) {
	if subject == "" {
		return Device{}, invalidf("a device must be allowed by a user")
	}
	if err := record.CheckText("the subject", subject, record.MaxSubject); err != nil {
		return Device{}, err
	}
	if err := record.CheckScope(scope); err != nil {
		return Device{}, err
	}
	return s.decide(ctx, userCode, func(d *Device, now time.Time) {
		d.Allowed, d.Subject, d.Scope, d.SignIn = now, subject, scope, signIn
	})
}

// Deny refuses the device. Its errors are those of Lookup.
func (s Devices) Deny(ctx context.Context, userCode string) (Device, error) {
	return s.decide(ctx, userCode, func(d *Device, now time.Time) { d.Denied = now })
}

func (s Devices) decide(ctx context.Context, userCode string, edit func(d *Device, now time.Time)) (Device, error) {
	letters, err := parseUserCode(userCode)
	if err != nil {
		return Device{}, err
	}
	d, err := record.Change(ctx, s.Store, kindDevice, letters, func(d *storedDevice, _ *time.Time) (bool, error) {
		now := moment(s.Now)
		if err := d.open(now); err != nil {
			return false, err
		}
		edit(&d.Device, now)
		return true, nil
	})
	return d.Value.Device, unknown(kindDevice, err)
}

// open reports whether the user can decide.
func (d *Device) open(now time.Time) error {
	switch {
	case !now.Before(d.Expires):
		return fmt.Errorf("%w user code", ErrExpired)
	case !d.Allowed.IsZero() || !d.Denied.IsZero():
		return ErrDecided
	}
	return nil
}
