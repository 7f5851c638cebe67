package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// findStore returns the file of the bolt store of the server that the flags name, and the issuer where that is known: no Caddy is
// running that could be asked.
func findStore(fl caddycmd.Flags) (path, issuer string, err error) {
	if path = fl.String("path"); path != "" {
		path, err = filepath.Abs(path)
		return path, "", err
	}
	text, file, _, err := caddycmd.LoadConfig(fl.String("config"), fl.String("adapter"))
	if err != nil {
		return "", "", err
	}
	name := fl.String("server")
	if !validServerName(name) {
		return "", "", fmt.Errorf("server %q: a name is made of lower-case letters, digits, - and _", name)
	}
	s := new(Server)
	if len(text) > 0 {
		if s, err = configuredIn(text, name); err != nil {
			return "", "", fmt.Errorf("configuration %s: %w", file, err)
		}
	}
	if module := storeName(s.StoreRaw); module != "bolt" {
		return "", "", errors.New(otherBackup(module))
	}
	store := new(BoltStore)
	if s.StoreRaw != nil {
		if err := json.Unmarshal(s.StoreRaw, store); err != nil {
			return "", "", err
		}
	}
	// An issuer behind a placeholder may be known to Caddy alone, as it has the environment of its service.
	issuer, _ = resolve("issuer", s.Issuer, server.CheckIssuer)
	path, err = store.Locate(name)
	return path, issuer, err
}

// configuredIn returns a server of a configuration.
func configuredIn(text []byte, name string) (*Server, error) {
	var config struct {
		Apps struct {
			OAuth App `json:"oauth_server"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	return config.Apps.OAuth.server(name)
}

// storeName is the name of a store in a configuration.
func storeName(raw json.RawMessage) string {
	named := struct {
		Module string `json:"module"`
	}{"bolt"}
	_ = json.Unmarshal(raw, &named) // what is no object is refused by Caddy
	return named.Module
}
