package oauthadmin

import (
	"net/http"
	"strconv"

	"github.com/tokenep/caddy-tokenep/tokenep/keys"
)

type keyList struct {
	Keys []keys.Info `json:"keys"`
}

// listKeys returns the signing keys: their public parts, and their times.
func listKeys(r *request) (any, error) {
	return keyList{r.server.Server().Keys.Current().List()}, nil
}

// rotateKeys makes the next key the active one. The answer has the keys after that.
func rotateKeys(r *request) (any, error) {
	force := false
	if text := r.URL.Query().Get("force"); text != "" {
		var err error
		if force, err = strconv.ParseBool(text); err != nil {
			return nil, refuse(http.StatusBadRequest, "force: must be true or false")
		}
	}
	if err := r.server.Server().Keys.Rotate(r.Context(), force); err != nil {
		return nil, err
	}
	return listKeys(r)
}

// withdrawKey withdraws a key. The answer has the keys after that.
func withdrawKey(r *request) (any, error) {
	if err := r.server.Server().Keys.Withdraw(r.Context(), r.id); err != nil {
		return nil, err
	}
	return listKeys(r)
}
