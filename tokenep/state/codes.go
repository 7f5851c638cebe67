package state

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// How long a code is good.
const (
	DefaultCodeLife = time.Minute
	MaxCodeLife     = 10 * time.Minute // RFC 6749 §4.1.2: a maximum of 10 minutes is RECOMMENDED
)

// Code is what an authorization code stands for (RFC 6749 §4.1.2). It does not have the code's
// text, which is in the redirect and nowhere else. All times are whole milliseconds, in UTC.
type Code struct {
	ClientID        string       `json:"client_id"`
	RegistrationID  string       `json:"registration_id,omitempty"`       // of the client
	RedirectURI     string       `json:"redirect_uri,omitempty"`          // to which it was sent
	RedirectImplied bool         `json:"redirect_implied,omitempty"`      // it named none: §4.1.3
	Challenge       string       `json:"code_challenge,omitempty"`        // RFC 7636 §4.3
	ChallengeMethod string       `json:"code_challenge_method,omitempty"` // with a Challenge
	Subject         string       `json:"sub"`
	Scope           verify.Scope `json:"scope,omitempty"` // what the user allowed
	Audience        []string     `json:"aud,omitempty"`   // RFC 8707 §2
	KeyThumbprint   string       `json:"jkt,omitempty"`   // dpop_jkt (RFC 9449 §10)
	Nonce           string       `json:"nonce,omitempty"` // OpenID Connect Core §3.1.2.1
	SignIn                       // of the user

	// Family is the ID of the Family to Start, and the grant_id of all tokens. It is set by Issue,
	// as are Created and Expires.
	Family  string    `json:"-"` // the id of the record
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Spent   time.Time `json:"spent_at,omitzero"` // zero: not spent
}

// SignIn is how and when a user signed in (OpenID Connect Core §2, RFC 9068 §2.2.1).
type SignIn struct {
	Time    time.Time `json:"auth_time,omitzero"` // zero: not known
	Class   string    `json:"acr,omitempty"`
	Methods []string  `json:"amr,omitempty"` // RFC 8176
}

// Codes issues and checks authorization codes, each good for one use (RFC 6749 §4.1.2, §10.5).
//
// A code and the family that its redemption starts are one record, which is made with the code: so
// a redemption is one conditional write. The text of a code is the id of the family and a secret,
// of which the record has the hash. A spent code is kept for a while with its family, so that a
// replay is told from an unknown code, and ends the tokens that the first redemption got, or is
// about to get.
type Codes struct {
	Store    store.Store
	Families Families
	Life     time.Duration    // from Issue to Spend; 0: DefaultCodeLife; at most MaxCodeLife
	Now      func() time.Time // the clock
}

// Issue makes a code. It uses all fields of c but those that are set by Issue, and Spent. The error
// Is ErrInvalid when a field is outside its limits.
func (s Codes) Issue(ctx context.Context, c Code) (code string, made Code, err error) {
	life := orDefault(s.Life, DefaultCodeLife)
	switch {
	case life < 0 || life > MaxCodeLife:
		return "", Code{}, invalidf("the life of a code must be between 0 and %[2]v, got %[1]v", life, MaxCodeLife)
	case c.ClientID == "" || c.Subject == "":
		return "", Code{}, invalidf("a code must have a client and a subject")
	case (c.Challenge == "") != (c.ChallengeMethod == ""):
		return "", Code{}, invalidf("a code must have both a challenge and its method, or neither")
	}
	if err := record.CheckScope(c.Scope); err != nil {
		return "", Code{}, err
	}
	now := moment(s.Now)
	c.Family, c.Created, c.Expires, c.Spent = NewFamilyID(), now, now.Add(life), time.Time{}
	code = formatCode(c.Family)
	f := storedFamily{Family: Family{ID: c.Family}, CodeHash: record.Hash(code)}
	if err := f.setCode(c); err != nil {
		return "", Code{}, err
	}
	// Kept beyond its end, so that a late replay is seen.
	if err := record.Insert(ctx, s.Store, kindFamily, c.Family, f, c.Expires.Add(MaxCodeLife)); err != nil {
		return "", Code{}, err
	}
	return code, c, nil
}

// codeFamilyLength is that of the family in the text of a code, in hexadecimal: a code has letters
// and digits alone, so that people, and patterns, take all of it.
const codeFamilyLength = 2 * familyIDBytes

// formatCode returns a new code of a family.
func formatCode(family string) string {
	id, _ := parseFamilyID(family) // it was made here
	return hex.EncodeToString(id[:]) + GenerateSecret()
}

// parseCode returns the id of a code's family.
func parseCode(code string) (family string, ok bool) {
	if len(code) != codeFamilyLength+secretLength || !isBase62(code[codeFamilyLength:], secretLength) {
		return "", false
	}
	id, err := hex.DecodeString(code[:codeFamilyLength])
	return base64.RawURLEncoding.EncodeToString(id), err == nil
}

// checkedCode is what is in the Version of a code: the record, the hash of the code that was
// presented, and the check that it passed.
type checkedCode struct {
	*checked[storedFamily]
	hash  []byte
	check func(Code) error
}

// Check says what a code is good for, and spends nothing. check compares client, redirect_uri,
// verifier and key with the code (RFC 6749 §4.1.3, RFC 7636 §4.6); if it returns an error, that is
// what Check returns, whatever has become of the code. So a code is of use to its own client alone.
//
// The other errors that Is ErrRefused say why the code is not good. With ErrSpent the family of the
// code has just been revoked (RFC 6749 §4.1.2). Any other error means that the answer is not known.
// Once the code is known, it is returned with an error as well, for the log.
func (s Codes) Check(ctx context.Context, code string, check func(Code) error) (Code, Version, error) {
	id, ok := parseCode(code)
	if !ok {
		return Code{}, Version{}, fmt.Errorf("%w code", ErrMalformed)
	}
	hash := record.Hash(code)
	f, err := checkRecord(ctx, s.Store, kindFamily, id, s.decide(hash, check, nil))
	c, _ := f.Value.issued(hash) // decide has told the error
	if err != nil {
		return c, Version{}, s.endReplayed(ctx, id, err)
	}
	return c, Version{&checkedCode{f, hash, check}}, nil
}

// Spend uses up a code that Check has allowed: of all who spend it, one succeeds. Its errors are
// those of Check, and ErrChanged. After any other error the code may have been spent: a new Check
// tells.
func (s Codes) Spend(ctx context.Context, v Version) error {
	_, err := s.spend(ctx, v, nil)
	return err
}

// Redeem is Spend that starts the family of the code, in the same write, and returns its first
// refresh token. It uses the same fields of f as Families.Start.
func (s Codes) Redeem(ctx context.Context, v Version, f Family) (token string, made Family, err error) {
	if err := s.Families.validate(f); err != nil {
		return "", Family{}, err
	}
	t := newRefreshToken()
	stored, err := s.spend(ctx, v, func(stored *storedFamily, now time.Time) {
		t.family, _ = parseFamilyID(stored.ID) // it was parsed with the code
		f.ID = stored.ID
		s.Families.begin(stored, f, t, now)
	})
	if err != nil {
		return "", Family{}, err
	}
	return t.format(s.Families.MAC), stored.Family, nil
}

func (s Codes) spend(ctx context.Context, v Version, start func(*storedFamily, time.Time)) (storedFamily, error) {
	c, ok := v.of.(*checkedCode)
	if !ok {
		return storedFamily{}, errOtherVersion
	}
	c.decide = s.decide(c.hash, c.check, start)
	f, err := c.checked.spend(ctx, s.Store, func(f storedFamily) storedFamily { return f })
	return f, s.endReplayed(ctx, c.ID, err)
}

// decide is how a code is spent. start starts its family with it; nil: there is none.
func (s Codes) decide(hash []byte, check func(Code) error, start func(*storedFamily, time.Time)) decision[storedFamily] {
	return func(f *storedFamily, expires *time.Time, asked bool) (bool, error) {
		c, err := f.issued(hash)
		if err != nil {
			return false, err
		}
		if c.Family == "" {
			return false, fmt.Errorf("%w code", ErrUnknown)
		}
		if !asked {
			if err := check(c); err != nil {
				return false, err
			}
		}
		now := moment(s.Now)
		switch {
		case !c.Spent.IsZero(): // before it expired or after
			return false, fmt.Errorf("%w: code", ErrSpent)
		case !f.Revoked.IsZero(), s.Families.Revocations.endsGrant(f.ID):
			return false, fmt.Errorf("%w code", ErrRevoked)
		case !now.Before(c.Expires):
			return false, fmt.Errorf("%w code", ErrExpired)
		}
		c.Spent = now
		if start != nil {
			start(f, now)
			*expires = s.Families.kept(f.Family, *expires)
		}
		return true, f.setCode(c)
	}
}

// issued returns the code of a family, if that is the one with this hash; else the zero value.
func (f *storedFamily) issued(hash []byte) (Code, error) {
	if subtle.ConstantTimeCompare(f.CodeHash, hash) != 1 {
		return Code{}, nil
	}
	c, err := f.code()
	if c == nil {
		return Code{}, err
	}
	return *c, nil
}

// code returns the code of a family, nil if it has none.
func (f *storedFamily) code() (*Code, error) {
	if len(f.Code) == 0 {
		return nil, nil
	}
	c := &Code{Family: f.ID}
	if err := json.Unmarshal(f.Code, c); err != nil {
		return nil, fmt.Errorf("decoding the code of family %s: %w", f.ID, err)
	}
	return c, nil
}

// setCode makes c the code of a family.
func (f *storedFamily) setCode(c Code) (err error) {
	f.Code, err = json.Marshal(c)
	return err
}

// endReplayed ends the family of a code that was spent before.
func (s Codes) endReplayed(ctx context.Context, family string, err error) error {
	if errors.Is(err, ErrSpent) {
		return s.Families.endBecause(ctx, family, err)
	}
	return err
}
