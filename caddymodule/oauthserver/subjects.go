package oauthserver

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// SubjectsNamespace is the namespace of the modules that tokens of others come from. Each is an
// Extension that adds to Config.Subjects.
const SubjectsNamespace = "oauth_server.subjects"

// parseSubject reads where tokens come from that others have issued. Syntax:
//
//	subject <module> …
//
// The module reads what follows its name.
func (s *AuthorizationServer) parseSubject(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("subject takes the name of a module, such as jwt")
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, SubjectsNamespace+"."+name)
	if err != nil {
		return err
	}
	s.SubjectsRaw = append(s.SubjectsRaw, caddyconfig.JSONModuleObject(module, "kind", name, nil))
	return nil
}

// addSubjects loads the modules that tokens of others come from, and has them add to the
// configuration.
func (s *AuthorizationServer) addSubjects(ctx caddy.Context, c *server.Config) error {
	if s.SubjectsRaw == nil {
		return nil
	}
	value, err := ctx.LoadModule(s, "SubjectsRaw")
	if err != nil {
		return fmt.Errorf("loading the subjects: %w", err)
	}
	for _, loaded := range value.([]any) {
		extension, ok := loaded.(Extension)
		if !ok {
			return fmt.Errorf("subjects: %T does not implement oauthserver.Extension", loaded)
		}
		if err := extension.Extend(c); err != nil {
			return fmt.Errorf("subjects: %w", err)
		}
	}
	return nil
}
