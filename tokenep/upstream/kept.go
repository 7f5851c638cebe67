package upstream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
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
	near  map[weak.Pointer[verify.Token]]near
	bytes int // of near
}

// near is a credential that is near.
type near struct {
	verify.Credential
	until time.Time // when another one is obtained
	by    any       // the key that has signed it; nil: none has
}

func newKept(limit int, form Form, now func() time.Time) *kept {
	if now == nil {
		now = time.Now
	}
	limit = cmp.Or(limit, DefaultEntries)
	return &kept{now: now, form: form, limit: limit, near: make(map[weak.Pointer[verify.Token]]near),
		memory: outbound.NewMemory(limit, now, verify.Credential.Size)}
}

// recall returns the credential for t, if it is near. Those of another signing key are not good.
func (k *kept) recall(t *verify.Token, by any) (c verify.Credential, known bool) {
	token := weak.Make(t)
	k.mu.RLock()
	found, known := k.near[token]
	k.mu.RUnlock()
	return found.Credential, known && found.by == by && k.now().Before(found.until)
}

// get returns the credential for t, which hash tells apart from others, and has obtain get one if
// it must. The logger is that of whoever has it obtained.
func (k *kept) get(r *http.Request, t *verify.Token, by any, logger *slog.Logger, hash outbound.Key, obtain func(context.Context) (obtained, error)) (c verify.Credential, err error) {
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
		Record(logger, o.id, t, o.attrs...) //nolint:contextcheck // it is of no request
		return outbound.Known[verify.Credential]{Value: verify.NewCredential(o.value, o.id), Until: o.until}
	})
	if known.Err != nil {
		if _, refused := errors.AsType[*verify.Error](known.Err); !refused {
			return c, unavailable(known.Err)
		}
		return c, known.Err
	}
	k.keepNear(t, near{known.Value, known.Until, by})
	return known.Value, nil
}

// keepNear begins anew when there is no more room: a hash finds the others again.
func (k *kept) keepNear(t *verify.Token, c near) {
	token := weak.Make(t)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.near) >= k.limit || k.bytes+c.Size() > maxNear {
		clear(k.near)
		k.bytes = 0
	}
	k.bytes += c.Size() - k.near[token].Size()
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
