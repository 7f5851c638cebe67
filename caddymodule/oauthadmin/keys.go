package oauthadmin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tokenep/caddy-tokenep/tokenep/keys"
)

type keyList struct {
	Keys []keys.Info `json:"keys"`
}

// listKeys returns the signing keys: their public parts, and their times. Those of access tokens
// come first.
func listKeys(r *request) (any, error) {
	var list keyList
	for _, ring := range r.server.Server().Rings() {
		list.Keys = append(list.Keys, ring.Current().List()...)
	}
	return list, nil
}

// rotateKeys makes the next key of each ring the active one. The answer has the keys after that.
func rotateKeys(r *request) (any, error) {
	force := false
	if text := r.URL.Query().Get("force"); text != "" {
		var err error
		if force, err = strconv.ParseBool(text); err != nil {
			return nil, refuse(http.StatusBadRequest, "force: must be true or false")
		}
	}
	var failed error // of one ring: the others rotate all the same
	for _, ring := range r.server.Server().Rings() {
		failed = errors.Join(failed, ring.Rotate(r.Context(), force))
	}
	if errors.Is(failed, keys.ErrTooEarly) {
		return nil, fmt.Errorf("%w; --force rotates all the same", failed)
	}
	if failed != nil {
		return nil, failed
	}
	return listKeys(r)
}

// withdrawKey withdraws a key. The answer has the keys after that.
func withdrawKey(r *request) (any, error) {
	for _, ring := range r.server.Server().Rings() {
		if err := ring.Withdraw(r.Context(), r.id); !errors.Is(err, keys.ErrUnknown) {
			if err != nil {
				return nil, err
			}
			return listKeys(r)
		}
	}
	return nil, keys.ErrUnknown
}
