package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// parseSigningKey reads one key. Syntax:
//
//	signing_key <path> [active]
func (s *AuthorizationServer) parseSigningKey(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[0] == "" || len(args) == 2 && args[1] != "active" {
		return d.Err("signing_key takes the path of a file, optionally followed by: active")
	}
	s.SigningKeys = append(s.SigningKeys, SigningKey{Path: args[0], Active: len(args) == 2})
	_, err := s.activeKey()
	return adapt.Located(d, err)
}

// parseEncryptionKey reads one key, which must be a placeholder. Syntax:
//
//	encryption_key {env.<name>} | {file.<path>}
func (s *AuthorizationServer) parseEncryptionKey(d *caddyfile.Dispenser) error {
	key := ""
	if args := d.RemainingArgs(); len(args) == 1 {
		key = args[0]
	}
	if !secretPlaceholder.MatchString(key) {
		return d.WrapErr(errLiteralEncryptionKey)
	}
	s.EncryptionKeys = append(s.EncryptionKeys, key)
	return nil
}
