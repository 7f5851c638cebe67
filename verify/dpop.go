package verify

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// dpop is the authentication scheme of tokens that are bound to a key (RFC 9449 §7.1).
const dpop = "DPoP"

// proofHeader is the header of a proof (RFC 9449 §4.1), as net/http spells it, and nonceHeader that
// of a nonce for the next one (§8).
const (
	proofHeader = "Dpop"
	nonceHeader = "Dpop-Nonce"
)

// How far iat of a proof may be from now.
const (
	DefaultProofWindow = time.Minute
	MaxProofWindow     = 5 * time.Minute
)

// DPoPOptions are the options of a [DPoP].
type DPoPOptions struct {
	// Origins are those of the URLs by which clients reach this server: scheme, host and port, such
	// as "https://api.example.com". htu of a proof must be of one of them, since the client chooses
	// Host. At least one is required.
	Origins []string

	// Prefix is what a proxy in front of this server takes off the paths that clients call, such as
	// "/v1": htu has it, and the request no longer. "" stands for nothing.
	Prefix string

	// Window is how far iat of a proof may be from now, before or after it: clocks differ, and
	// requests take their time. 0 stands for DefaultProofWindow; MaxProofWindow is the most.
	Window time.Duration

	// Nonces make every proof bring a nonce of this server (RFC 9449 §8, §9), and such a proof is
	// as old as its nonce: the clock of the client does not matter. nil: iat is compared.
	Nonces *Nonces

	// Required says that a Verifier accepts no tokens but those that are bound to a key by cnf.jkt.
	Required bool

	// Remember keeps the id of a proof, of the key with this thumbprint, until a time. Of all calls
	// for one key and id one succeeds, and the others return an error that Is ErrReplayed; any
	// other error is answered with 503. It is called when everything else was good. Required; see
	// [Replays] for a server of one process.
	Remember func(ctx context.Context, thumbprint, id string, until time.Time) error

	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// DPoP takes proofs that a client has the key to which its token is bound, or is to be bound (RFC
// 9449). It is safe for concurrent use.
type DPoP struct {
	origins  []string // canonical
	prefix   string   // likewise
	window   time.Duration
	nonces   *Nonces
	required bool
	remember func(ctx context.Context, thumbprint, id string, until time.Time) error
	now      func() time.Time
}

// ErrReplayed is the error of DPoPOptions.Remember for a proof that was used before.
var ErrReplayed = errors.New("the proof was used before")

// NewDPoP returns a DPoP, or what is wrong with its options.
func NewDPoP(o DPoPOptions) (*DPoP, error) {
	d := &DPoP{prefix: o.Prefix, window: o.Window, nonces: o.Nonces, required: o.Required, remember: o.Remember, now: o.Now}
	if d.now == nil {
		d.now = time.Now
	}
	switch {
	case len(o.Origins) == 0:
		return nil, errors.New("DPoP: no origin: write the one of the URLs that clients call, such as https://api.example.com")
	case o.Remember == nil:
		return nil, errors.New("DPoP: nothing remembers proofs")
	case o.Window < 0 || o.Window > MaxProofWindow:
		return nil, fmt.Errorf("DPoP: the window of proofs must be between 0 and %s; it is %s", MaxProofWindow, o.Window)
	case o.Window == 0:
		d.window = DefaultProofWindow
	}
	if err := CheckPrefix(o.Prefix); err != nil {
		return nil, fmt.Errorf("DPoP: %w", err)
	}
	for _, origin := range o.Origins {
		canonical, err := canonicalOrigin(origin)
		if err != nil {
			return nil, fmt.Errorf("DPoP: %w", CheckOrigin(origin))
		}
		if !slices.Contains(d.origins, canonical) {
			d.origins = append(d.origins, canonical)
		}
	}
	return d, nil
}

// Proof is a proof that was good when it was checked, and may have been used before.
type Proof struct {
	Thumbprint string // of its key (RFC 7638): the jkt of tokens (RFC 9449 §6.1)

	id    string    // jti
	until time.Time // no such proof is good afterwards
}

// Refusals of proofs. They are copied before a cause is added.
var (
	errProofMissing  = badProof("the DPoP proof is missing")
	errProofRepeated = badProof("there is more than one DPoP header")
	errProofForm     = badProof("the DPoP proof is not acceptable")
	errProofMethod   = badProof("htm of the DPoP proof is not the method of the request")
	errProofURL      = badProof("htu of the DPoP proof is not the URL of the request")
	errProofTime     = badProof("the DPoP proof is too old, or from the future")
	errProofToken    = badProof("ath of the DPoP proof is not the hash of the access token")
	errProofReplayed = badProof("the DPoP proof was used before")
	errProofBeside   = badProof("a DPoP proof goes with a token that is sent under the scheme DPoP")
	errNonceMissing  = &Error{Status: http.StatusUnauthorized, Code: UseDPoPNonce,
		Description: "the DPoP proof needs the nonce of this answer"}
)

func badProof(description string) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: InvalidDPoPProof, Description: description}
}

// because returns a copy of e with a cause.
func (e *Error) because(cause error) *Error {
	caused := *e
	caused.Cause = cause
	return &caused
}

// Check returns the one proof that p presents, for the method and the URL of p, and for the token
// if there is one (RFC 9449 §4.3). It writes nothing: see Spend. The error is an *[Error].
//
// The signature is verified last, so that what is not good costs little.
func (d *DPoP) Check(p Presentation) (Proof, error) {
	proof, err := d.check(&p)
	if err != nil {
		return Proof{}, err
	}
	return proof, nil
}

func (d *DPoP) check(p *Presentation) (Proof, *Error) {
	switch len(p.Proof) {
	case 0:
		return Proof{}, errProofMissing
	case 1:
	default:
		return Proof{}, errProofRepeated
	}
	proof, err := parseProof(p.Proof[0])
	if err != nil {
		return Proof{}, errProofForm.because(err)
	}
	if proof.method != p.Method {
		return Proof{}, errProofMethod.because(fmt.Errorf("htm is %.20q, expected %.20q", proof.method, p.Method))
	}
	if p.URL == nil || !d.isTarget(proof.url, p.URL) {
		return Proof{}, errProofURL.because(fmt.Errorf("htu is %.200q, expected the path %.200q of %q", proof.url, d.prefix+pathOf(p.URL), d.origins))
	}
	until, refusal := d.isFresh(&proof)
	if refusal != nil {
		return Proof{}, refusal
	}
	if p.Token != "" && proof.token != tokenHash(p.Token) {
		return Proof{}, errProofToken
	}
	if err := proof.algorithm.verify(proof.key, proof.parts.input, proof.parts.signature); err != nil {
		return Proof{}, errProofForm.because(err)
	}
	return Proof{Thumbprint: proof.thumbprint, id: proof.id, until: until}, nil
}

// isFresh returns until when the proof can be used: it was made for a nonce of this server, or just
// now (RFC 9449 §4.3, point 11, and §11.1).
func (d *DPoP) isFresh(proof *signedProof) (until time.Time, refusal *Error) {
	now := d.now()
	if d.nonces != nil {
		until, err := d.nonces.end(proof.nonce, now)
		switch {
		case errors.Is(err, errNoNonceKey):
			return until, unavailable(err)
		case err != nil:
			return until, errNonceMissing.because(err)
		}
		return until, nil
	}
	if age := now.Sub(proof.issued); age > d.window || age < -d.window {
		return until, errProofTime.because(fmt.Errorf("iat is %s, and now is %s", proof.issued.UTC(), now.UTC()))
	}
	return proof.issued.Add(d.window), nil
}

// tokenHash is the ath of a token (RFC 9449 §4.2).
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Spend uses up a proof, so that nobody can send it again (RFC 9449 §11.1). It comes last: a proof
// of somebody who has no good token takes no room. The error is an *[Error].
func (d *DPoP) Spend(ctx context.Context, proof Proof) error {
	if err := d.spend(ctx, proof); err != nil {
		return err
	}
	return nil
}

func (d *DPoP) spend(ctx context.Context, proof Proof) *Error {
	used, _ := ctx.Value(usedKey{}).(*usedProof)
	own := usedProof{proof.Thumbprint, proof.id, d}
	if used != nil && *used == own {
		return nil
	}
	err := d.remember(ctx, proof.Thumbprint, proof.id, proof.until)
	if used != nil && used.thumbprint == own.thumbprint && used.id == own.id && errors.Is(err, ErrReplayed) {
		err = nil // another guard has remembered it, in the same place
	}
	switch {
	case err == nil:
		if used != nil {
			*used = own
		}
		return nil
	case errors.Is(err, ErrReplayed):
		return errProofReplayed.because(err)
	}
	return unavailable(err)
}

// usedProof is the proof that a request has used, in its context under usedKey, and who has
// remembered it last. Another guard that it comes to, which may remember proofs elsewhere, does not
// take it for a replay.
type usedProof struct {
	thumbprint, id string
	by             *DPoP
}

type usedKey struct{}

// noteProof gives a request with a proof a context that notes when it is used.
func noteProof(r *http.Request) {
	if len(r.Header[proofHeader]) > 0 && r.Context().Value(usedKey{}) == nil {
		*r = *r.WithContext(context.WithValue(r.Context(), usedKey{}, new(usedProof)))
	}
}

// Offer adds the nonce for the next proof to an answer (RFC 9449 §8.2), if one is needed.
func (d *DPoP) Offer(h http.Header) {
	if d == nil || d.nonces == nil {
		return
	}
	if nonce := d.nonces.Current(); nonce != "" {
		h[nonceHeader] = []string{nonce}
	}
}
