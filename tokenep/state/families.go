package state

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// kindFamily has the family's id, and expires when that has been idle for too long; until it is
// started, MaxCodeLife after its code.
const kindFamily = "family"

// Defaults of Families.
const (
	DefaultGrace    = time.Minute
	DefaultIdle     = 14 * 24 * time.Hour
	DefaultAbsolute = 90 * 24 * time.Hour
)

// Family is what one sign-in allowed a client: the refresh token that came of it, and all those
// that it was exchanged for (RFC 6749 §6, RFC 9700 §4.14.2). All times are whole milliseconds, in
// UTC.
type Family struct {
	ID             string       `json:"id"` // grant_id of the access tokens
	ClientID       string       `json:"client_id"`
	RegistrationID string       `json:"registration_id,omitempty"` // of the client
	Subject        string       `json:"sub"`
	Scope          verify.Scope `json:"scope,omitempty"` // the most that it allows
	Audience       []string     `json:"aud,omitempty"`   // the most that it allows
	KeyThumbprint  string       `json:"jkt,omitempty"`   // of the DPoP key: RFC 9449 §5
	Certificate    string       `json:"x5t,omitempty"`   // its thumbprint: RFC 8705 §4
	SignIn                      // of the user
	Exchanged      *Exchanged   `json:"exchanged,omitempty"` // nil: it began with a sign-in
	Started        time.Time    `json:"started,omitzero"`    // set by Start
	Rotated        time.Time    `json:"rotated,omitzero"`    // when last; zero: never
	Expires        time.Time    `json:"expires,omitzero"`    // if not used before; never after Ends
	Ends           time.Time    `json:"ends,omitzero"`       // however often it is used
	Revoked        time.Time    `json:"revoked_at,omitzero"` // zero: it is not
}

// storedFamily is the record of a family: the one record on which everything about it is decided.
type storedFamily struct {
	Family
	Generation uint64 `json:"generation,omitempty"` // of the newest token
	Hash       []byte `json:"hash,omitempty"`       // SHA-256 of the secret; empty: it has no token

	// The Code with which it starts, or was started some time ago; empty: there is none, or nobody
	// will ask for it any more. It is decoded for who asks, which no refresh does.
	Code     json.RawMessage `json:"code,omitempty"`
	CodeHash []byte          `json:"code_hash,omitempty"` // SHA-256 of its text
}

// begin starts a family in its record, with its first refresh token.
func (s Families) begin(stored *storedFamily, f Family, t refreshToken, now time.Time) {
	f.Started, f.Rotated, f.Revoked = now, time.Time{}, time.Time{}
	if ends := now.Add(orDefault(s.Absolute, DefaultAbsolute)); f.Ends.IsZero() || f.Ends.After(ends) {
		f.Ends = ends
	}
	f.Expires = s.idleEnd(f, now)
	stored.Family, stored.Generation, stored.Hash = f, t.generation, t.secretHash()
}

// Families rotates refresh tokens (RFC 9700 §4.14.2): each is good for one exchange. When an old
// one is used again, somebody has a copy, and the whole family ends, with its access tokens.
//
// But clients lose answers, and have several windows open. So there is a grace: for a while the
// token that was exchanged last gets the same successor again, unless that has been used itself.
// The session goes on, and there is still one line of tokens.
//
// Whoever proves in another way who it is may use one token all the time: Use rotates nothing. Both
// can be done to one family, in any order.
//
// Store, Revocations, MAC, TokenLife and Now are required.
type Families struct {
	Store       store.Store
	Revocations *Revocations
	MAC         *RefreshMAC          // of the tokens
	Grace       time.Duration        // 0: DefaultGrace; negative: none
	Idle        time.Duration        // longest time between two uses; 0: DefaultIdle
	Absolute    time.Duration        // longest life of a family; 0: DefaultAbsolute
	TokenLife   func() time.Duration // the longest life of an access token
	Now         func() time.Time     // the clock
}

// Start begins a family and returns its first refresh token. It uses all fields of f but the times
// other than that of the sign-in, and Ends, if that is earlier than the end of other families; an
// empty ID means a new one. The error Is ErrRevoked when the
// family was revoked before it started (see Codes.Check), store.ErrExists when it was started
// before, and ErrInvalid when a field is outside its limits.
func (s Families) Start(ctx context.Context, f Family) (token string, made Family, err error) {
	if err := s.validate(f); err != nil {
		return "", Family{}, err
	}
	if f.ID == "" {
		f.ID = NewFamilyID()
	}
	t := newRefreshToken()
	if t.family, err = parseFamilyID(f.ID); err != nil {
		return "", Family{}, err
	}
	stored, err := record.Upsert(ctx, s.Store, kindFamily, f.ID, func(stored *storedFamily, expires *time.Time) (bool, error) {
		c, err := stored.code()
		switch {
		case err != nil:
			return false, err
		case !stored.Revoked.IsZero(), s.Revocations.endsGrant(f.ID):
			return false, fmt.Errorf("%w before it started", ErrRevoked)
		case !stored.Started.IsZero(), c != nil && c.Spent.IsZero():
			return false, store.ErrExists
		}
		if err := s.checkAncestors(f); err != nil {
			return false, err
		}
		s.begin(stored, f, t, moment(s.Now))
		*expires = s.kept(stored.Family, *expires)
		return true, nil
	})
	if err != nil {
		return "", Family{}, fmt.Errorf("starting family %s: %w", f.ID, err)
	}
	return t.format(s.MAC), stored.Value.Family, nil
}

// validate reports what is wrong with a family that is to be started.
func (s Families) validate(f Family) error {
	switch {
	case s.Idle < 0 || s.Absolute < 0:
		return invalidf("the life of a family must not be negative, got %v, and %v without use", s.Absolute, s.Idle)
	case f.ClientID == "" || f.Subject == "":
		return invalidf("a family must have a client and a subject")
	}
	if err := CheckSubject(f.Subject); err != nil {
		return err
	}
	return record.CheckScope(f.Scope)
}

// CheckSubject returns what is wrong with the name of a user, as tokens have it: it has 255 bytes
// at the most (OpenID Connect Core §2), is UTF-8, so that no two are written alike, and has no
// control characters.
func CheckSubject(subject string) error {
	return record.CheckText("the subject", subject, record.MaxSubject)
}

// idleEnd is when a family that is used now expires.
func (s Families) idleEnd(f Family, now time.Time) time.Time {
	end := now.Add(orDefault(s.Idle, DefaultIdle))
	if end.After(f.Ends) {
		return f.Ends
	}
	return end
}

// kept returns until when the record of a family is kept, which was until then: a little longer
// than the family, so that most refreshes leave it as it is. Engines have an index of it, which is
// most of what they would write.
func (s Families) kept(f Family, until time.Time) time.Time {
	if !until.Before(f.Expires) {
		return until
	}
	longer := f.Expires.Add(orDefault(s.Idle, DefaultIdle) / 10)
	if longer.After(f.Ends) {
		return f.Ends
	}
	return longer
}

// Check says what a refresh token is good for, and exchanges nothing. check decides whether whoever
// presents it may; if it returns an error, that is what Check returns, and nothing has happened.
//
// The other errors that Is ErrRefused say why the token is not good; with ErrReused the family has
// just been revoked, and so has one whose end was interrupted (see Revoke). Any other error means
// that the answer is not known, and the same token can be presented again. Once the family is
// known, it is returned with an error as well, for the log.
func (s Families) Check(ctx context.Context, token string, check func(Family) error) (Family, Version, error) {
	t, ok := parseRefreshToken(s.MAC, token)
	if !ok {
		return Family{}, Version{}, fmt.Errorf("%w refresh token", ErrMalformed)
	}
	f, err := checkRecord(ctx, s.Store, kindFamily, t.familyID(), s.decide(t, check, s.rotate))
	if err != nil {
		return f.Value.Family, Version{}, s.endReused(ctx, f.Value.ID, err)
	}
	return f.Value.Family, Version{&checkedFamily{f, t, check}}, nil
}

// checkedFamily is what is in the Version of a family: the record, the token that was presented,
// and the check that it passed.
type checkedFamily struct {
	*checked[storedFamily]
	token refreshToken
	check func(Family) error
}

// Rotate exchanges a refresh token that Check has allowed for its successor (RFC 6749 §6). A token
// in its grace gets the same successor again, and nothing is written. Its errors are those of
// Check, and ErrChanged.
func (s Families) Rotate(ctx context.Context, v Version) (next string, f Family, err error) {
	c, ok := v.of.(*checkedFamily)
	if !ok {
		return "", Family{}, errOtherVersion
	}
	if f, err = s.spend(ctx, c); err != nil {
		return "", f, err
	}
	return c.token.successor().format(s.MAC), f, nil
}

// Use is Rotate for a token that remains good: it returns the token itself, or its successor if it
// was rotated and is in its grace. The family is written only to move its end, when that moves by a
// tenth of Idle or more, so that most uses write nothing. Such a use is decided by the version that
// was checked.
func (s Families) Use(ctx context.Context, v Version) (token string, f Family, err error) {
	c, ok := v.of.(*checkedFamily)
	if !ok {
		return "", Family{}, errOtherVersion
	}
	c.decide = s.decide(c.token, c.check, s.use)
	if write, _, err := c.edit(c.Stored, true); write || err != nil {
		if f, err := s.spend(ctx, c); err != nil {
			return "", f, err
		}
	}
	t := c.token
	if t.generation < c.edited.Generation {
		t = t.successor()
	}
	return t.format(s.MAC), c.edited.Family, nil
}

// spend is that of the version, and ends the family of a token that was reused meanwhile.
func (s Families) spend(ctx context.Context, c *checkedFamily) (Family, error) {
	f, err := c.checked.spend(ctx, s.Store, func(f storedFamily) storedFamily {
		f.Generation, f.Rotated, f.Expires, f.Code, f.CodeHash = 0, time.Time{}, time.Time{}, nil, nil
		return f
	})
	return f.Family, s.endReused(ctx, f.ID, err)
}

// decide is how a token is exchanged or used: edit does it to the family of the newest token.
func (s Families) decide(t refreshToken, check func(Family) error, edit func(f *storedFamily, t refreshToken, now time.Time) bool) decision[storedFamily] {
	return func(f *storedFamily, expires *time.Time, asked bool) (write bool, err error) {
		now := moment(s.Now)
		if err := f.live(t, now); err != nil {
			return false, err
		}
		if !asked {
			if err := check(f.Family); err != nil {
				return false, err
			}
		}
		if s.Revocations.endsGrant(f.ID) {
			return false, errInterrupted
		}
		if err := s.checkAncestors(f.Family); err != nil {
			return false, err
		}
		if newest, err := s.position(f, t, now); err != nil || !newest {
			return false, err
		}
		write = edit(f, t, now)
		if now.After(f.Started.Add(2 * MaxCodeLife)) { // the code has ended for MaxCodeLife
			f.Code, f.CodeHash = nil, nil
		}
		*expires = s.kept(f.Family, *expires)
		return write, nil
	}
}

// rotate makes the successor of a token the newest.
func (s Families) rotate(f *storedFamily, t refreshToken, now time.Time) (write bool) {
	f.Generation, f.Rotated = t.generation+1, now
	f.Expires = s.idleEnd(f.Family, now)
	return true
}

// use leaves a token the newest, and moves the end of the family if it is worth a write: by a tenth
// of the idle time, or to the last end that there is.
func (s Families) use(f *storedFamily, t refreshToken, now time.Time) (write bool) {
	write = t.generation > f.Generation // see position
	f.Generation = t.generation
	end := s.idleEnd(f.Family, now)
	if moved := end.Sub(f.Expires); moved >= orDefault(s.Idle, DefaultIdle)/10 || moved > 0 && end.Equal(f.Ends) {
		f.Expires, write = end, true
	}
	return write
}

// live reports whether the family is good, and whether the token is one of it.
func (f *storedFamily) live(t refreshToken, now time.Time) error {
	switch {
	case !f.Revoked.IsZero():
		return fmt.Errorf("%w family", ErrRevoked)
	case subtle.ConstantTimeCompare(f.Hash, t.secretHash()) != 1:
		return fmt.Errorf("%w secret of family %s", ErrUnknown, f.ID)
	case !now.Before(f.Expires): // which is never after f.Ends
		return fmt.Errorf("%w family", ErrExpired)
	}
	return nil
}

// position says where the token stands in its family: it is the newest, or the one before in its
// grace. If it is neither, the error Is ErrReused.
//
// A token can be newer than the record when the store was restored from a backup. It is genuine,
// and proves that the one that the record has as the newest was spent: the record follows it.
func (s Families) position(f *storedFamily, t refreshToken, now time.Time) (newest bool, err error) {
	if t.generation >= f.Generation {
		return true, nil
	}
	grace := orDefault(s.Grace, DefaultGrace)
	// The age may be negative: another node, whose clock is ahead, was first. But not by more than
	// the grace, or a clock that is set back would make the grace as long as the jump.
	if age := now.Sub(f.Rotated); t.generation+1 == f.Generation && max(age, -age) <= grace {
		return false, nil
	}
	return false, fmt.Errorf("%w: refresh token %d of a family that is at %d", ErrReused, t.generation, f.Generation)
}

// Inspect returns the family of a refresh token that is good, for token introspection (RFC 7662
// §2.2). Unlike Check it never ends the family.
func (s Families) Inspect(ctx context.Context, token string) (Family, error) {
	t, ok := parseRefreshToken(s.MAC, token)
	if !ok {
		return Family{}, fmt.Errorf("%w refresh token", ErrMalformed)
	}
	f, err := checkRecord(ctx, s.Store, kindFamily, t.familyID(), s.decide(t, func(Family) error { return nil }, s.rotate))
	return f.Value.Family, err
}
