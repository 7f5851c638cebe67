package oauthserver

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// Pages is how the pages look that people see.
type Pages struct {
	// The name of the site. Default: none.
	Name string `json:"name,omitempty"`

	// An image: an https URL, a path on the issuer's host, or data:image/…. Default: none.
	Logo string `json:"logo,omitempty"`

	// The colour of buttons and links, such as #0b57d0. Default: a blue.
	Accent string `json:"accent,omitempty"`

	// The same on a dark background. Default: a light blue.
	AccentDark string `json:"accent_dark,omitempty"`

	// A folder with templates (templates/<page>.html), texts (texts/<language>.json) and a style
	// (style.css) in the place of the usual ones. It is read when the configuration is loaded. What
	// is not there is as usual. Default: none.
	Folder string `json:"folder,omitempty"`
}

// brand returns the name, logo and colours.
func (p *Pages) brand() page.Brand {
	if p == nil {
		return page.Brand{}
	}
	return page.Brand{Name: p.Name, Logo: p.Logo, Accent: p.Accent, AccentDark: p.AccentDark}
}

// check returns what is wrong, without a look at the folder.
func (p *Pages) check() error {
	brand := p.brand()
	if err := cmp.Or(adapt.RefusePlaceholders("name", []string{brand.Name}), adapt.RefusePlaceholders("logo", []string{brand.Logo}), brand.Validate()); err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	return nil
}

// options returns the pages, of a folder that can be read. Placeholders in it are resolved.
func (p *Pages) options() (page.Options, error) {
	o := page.Options{Brand: p.brand()}
	if p == nil || p.Folder == "" {
		return o, nil
	}
	folder, err := adapt.Resolve("folder", p.Folder)
	if err != nil {
		return o, adapt.Of("pages", fmt.Errorf("pages: %w", err))
	}
	o.Folder = os.DirFS(folder)
	if _, err = os.ReadDir(folder); err == nil {
		_, err = page.New(o)
	}
	if err != nil {
		err = adapt.Of("pages", adapt.Of("folder", fmt.Errorf("pages: folder %s: %w", folder, err)))
	}
	return o, err
}

// Sessions are the rules for the browsers in which people have signed in.
type Sessions struct {
	// How long a session lasts from use to use. Default: 12h.
	Idle caddy.Duration `json:"idle,omitempty"`

	// How long it lasts from the sign-in, however often it is used. Default: 7d.
	Absolute caddy.Duration `json:"absolute,omitempty"`
}

func (x *Sessions) config() server.Sessions {
	if x == nil {
		return server.Sessions{}
	}
	return server.Sessions{Idle: time.Duration(x.Idle), Absolute: time.Duration(x.Absolute)}
}

func (x *Sessions) check() error {
	if err := x.config().Validate(); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	return nil
}
