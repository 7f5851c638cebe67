package upstream

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
	"weak"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Bounds of what is remembered.
const (
	DefaultEntries = 10_000
	MaxEntries     = 1_000_000

	noneFor = 10 * time.Second // for how long there is none where there was none
	maxNear = 32 << 20         // bytes of the credentials that are found without a hash
)

// kept remembers credentials. Those of the tokens that a verifier remembers are near: found by the
// token, without a hash. A token that the verifier has forgotten is not held by that.
type kept struct {
	now    func() time.Time
	form   Form
	memory *outbound.Memory[verify.Credential]

	mu    sync.RWMutex
	limit int
	near  map[weak.Pointer[verify.Token]]credential
	bytes int // of near
}

// credential is one that is near.
type credential struct {
	verify.Credential
	until time.Time // when another one is obtained
	by    any       // the key that has signed it; nil: none has
}

func newKept(limit int, form Form, now func() time.Time) *kept {
	if now == nil {
		now = time.Now
	}
	limit = cmp.Or(limit, DefaultEntries)
	return &kept{now: now, form: form, limit: limit, near: make(map[weak.Pointer[verify.Token]]credential),
		memory: outbound.NewMemory(limit, now, func(c verify.Credential) int { return len(c.Value) + len(c.ID) })}
}

// recall returns the credential for t, if it is near. Those of another signing key are not good.
func (k *kept) recall(t *verify.Token, by any) (c credential, known bool) {
	token := weak.Make(t)
	k.mu.RLock()
	c, known = k.near[token]
	k.mu.RUnlock()
	return c, known && c.by == by && k.now().Before(c.until)
}

// get returns the credential for t, which hash tells apart from others, and has obtain get one if
// it must. The trail is that of whoever has it obtained.
func (k *kept) get(r *http.Request, t *verify.Token, by any, trail *Trail, hash outbound.Key, obtain func(context.Context) (obtained, error)) (verify.Credential, error) {
	known := k.memory.Get(r.Context(), hash, func(ctx context.Context) outbound.Known[verify.Credential] {
		o, err := obtain(ctx)
		if err == nil {
			if o.value, err = k.form.write(o.value); err != nil {
				err = senseless(err)
			}
		}
		if err != nil {
			return outbound.Known[verify.Credential]{Err: err, Until: k.now().Add(unknownFor(err))}
		}
		trail.Write(o.id, t, o.attrs...) //nolint:contextcheck // it is of no request
		return outbound.Known[verify.Credential]{Value: verify.Credential{Value: o.value, ID: o.id}, Until: o.until}
	})
	if known.Err != nil {
		if _, refused := errors.AsType[*verify.Error](known.Err); !refused {
			return verify.Credential{}, unavailable(known.Err)
		}
		return verify.Credential{}, known.Err
	}
	k.keepNear(t, credential{known.Value, known.Until, by})
	return known.Value, nil
}

// keepNear begins anew when there is no more room: a hash finds the others again.
func (k *kept) keepNear(t *verify.Token, c credential) {
	token := weak.Make(t)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.near) >= k.limit || k.bytes+len(c.Value) > maxNear {
		clear(k.near)
		k.bytes = 0
	}
	k.bytes += len(c.Value) - len(k.near[token].Value)
	k.near[token] = c
}

// unavailable is the refusal while nobody knows.
func unavailable(cause error) error {
	return &verify.Error{Status: http.StatusServiceUnavailable, RetryAfter: outbound.Spacing, Cause: cause}
}

// senseless is the refusal because of an answer that makes no sense.
func senseless(cause error) error {
	return &verify.Error{Status: http.StatusBadGateway, Cause: cause}
}

// none is the refusal where there is no credential.
func none(cause error) error {
	return &verify.Error{Status: http.StatusForbidden, Code: verify.AccessDenied,
		Description: "the application behind this API has no access for this token", Cause: cause}
}

// unknownFor returns for how long nobody is asked again after an error.
func unknownFor(err error) time.Duration {
	if refusal, ok := errors.AsType[*verify.Error](err); ok && refusal.Status == http.StatusForbidden {
		return noneFor
	}
	return outbound.Spacing
}

// capped returns until, or a time after the end if that is earlier. Zero is no end.
func capped(until, end time.Time, after time.Duration) time.Time {
	if !end.IsZero() && end.Add(after).Before(until) {
		return end.Add(after)
	}
	return until
}
