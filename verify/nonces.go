package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// Nonces are the nonces of a server for DPoP proofs (RFC 9449 §8, §9). Nothing is stored: each is
// the MAC of a minute, and is good in that minute and the next. All nodes with one key have the
// same ones, also if a clock among them is up to a minute off. They are safe for concurrent use.
type Nonces struct {
	key atomic.Pointer[[]byte]
	now func() time.Time
}

var (
	errNoNonceKey = errors.New("there is no key for nonces yet")
	errNonce      = errors.New("nonce is missing, has expired, or is none of this server")
)

// nonceLife is how long a nonce is given to clients.
const nonceLife = time.Minute

// NewNonces returns nonces without a key: proofs are answered with 503 until there is one. A nil
// now stands for time.Now.
func NewNonces(now func() time.Time) *Nonces {
	if now == nil {
		now = time.Now
	}
	return &Nonces{now: now}
}

// SetKey sets the key of the MACs, of 32 bytes or more. It may be used for nothing else.
func (n *Nonces) SetKey(key []byte) {
	key = slices.Clone(key)
	n.key.Store(&key)
}

// Current returns the nonce for the next proof; "" if there is no key yet.
func (n *Nonces) Current() string {
	nonce, _ := n.of(n.now().Unix() / int64(nonceLife/time.Second))
	return nonce
}

// of returns the nonce of a minute.
func (n *Nonces) of(minute int64) (string, error) {
	key := n.key.Load()
	if key == nil {
		return "", errNoNonceKey
	}
	mac := hmac.New(sha256.New, *key)
	mac.Write(binary.BigEndian.AppendUint64([]byte("DPoP nonce 1"), uint64(minute)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]), nil
}

// end returns until when a nonce is good, which it must be now.
func (n *Nonces) end(nonce string, now time.Time) (time.Time, error) {
	minute := now.Unix() / int64(nonceLife/time.Second)
	for _, candidate := range [...]int64{minute, minute - 1, minute + 1} {
		expected, err := n.of(candidate)
		if err != nil {
			return time.Time{}, err
		}
		if subtle.ConstantTimeCompare([]byte(nonce), []byte(expected)) == 1 {
			return time.Unix((candidate+2)*int64(nonceLife/time.Second), 0), nil
		}
	}
	return time.Time{}, errNonce
}
