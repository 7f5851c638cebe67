package oauthadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// findStore returns the file of the bolt store of the server that the flags name, and the issuer if
// it is known. It reads the configuration, since Caddy is not running.
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
	if err := oauthserver.CheckName(name); err != nil {
		return "", "", fmt.Errorf("server %q: %w", name, err)
	}
	s := new(oauthserver.AuthorizationServer)
	if len(text) > 0 {
		if s, err = configuredIn(text, name); err != nil {
			return "", "", fmt.Errorf("configuration %s: %w", file, err)
		}
	}
	if s.StoreName() != "bolt" {
		return "", "", errors.New(otherBackup(s.StoreName()))
	}
	store, err := boltModule(s.StoreRaw)
	if err != nil {
		return "", "", err
	}
	// The issuer is not known here if it is a placeholder for a variable that only the service of
	// Caddy has.
	issuer, _ = adapt.Resolve("issuer", s.Issuer, server.CheckIssuer)
	path, err = store.Locate(name)
	return path, issuer, err
}

// configuredIn returns a server of a configuration.
func configuredIn(text []byte, name string) (*oauthserver.AuthorizationServer, error) {
	var config struct {
		Apps struct {
			OAuth oauthserver.App `json:"oauth_server"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	return config.Apps.OAuth.Server(name)
}

// boltModule returns the module of the store bolt with its configuration. It is found by its name,
// as Caddy finds it.
func boltModule(raw json.RawMessage) (oauthserver.StoreOpener, error) {
	info, err := caddy.GetModule(oauthserver.StoreNamespace + ".bolt")
	if err != nil {
		return nil, err
	}
	module := info.New()
	if raw != nil {
		if err := json.Unmarshal(raw, module); err != nil {
			return nil, err
		}
	}
	return module.(oauthserver.StoreOpener), nil
}
