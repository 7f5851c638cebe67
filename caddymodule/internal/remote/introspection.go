package remote

import (
	"log/slog"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Introspection is an introspection endpoint (RFC 7662).
type Introspection struct {
	// The introspection endpoint, https; http is for hosts on this machine. Placeholders are
	// resolved when the configuration is loaded. Required.
	URL string `json:"url,omitempty"`

	// The id by which the other server knows this one, as a client or as a protected resource.
	// Placeholders are resolved when the configuration is loaded. Required.
	ClientID string `json:"client_id,omitempty"`

	// Its secret there; a placeholder keeps it out of the configuration. Required.
	ClientSecret string `json:"client_secret,omitempty"`

	// How they are sent: client_secret_basic or client_secret_post. Default: client_secret_basic.
	Auth string `json:"auth,omitempty"`

	// Send tokens and the secret over http to another machine. Default: false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`
}

// ParseURL reads the URL.
func (i *Introspection) ParseURL(d *caddyfile.Dispenser) error {
	return adapt.One(d, &i.URL, func(url string) error { return outbound.CheckURL("url", url) })
}

// ParseOption reads the line at d if it is one of these options, and says whether it is. Syntax:
//
//	client     <id> <secret>
//	auth       client_secret_basic | client_secret_post
//	insecure_http
func (i *Introspection) ParseOption(d *caddyfile.Dispenser, option string) (known bool, err error) {
	switch option {
	case "client":
		return true, i.parseClient(d)
	case "auth":
		return true, adapt.Choice(d, &i.Auth, introspection.AuthBasic, introspection.AuthPost)
	case "insecure_http":
		return true, adapt.Flag(d, &i.InsecureHTTP)
	}
	return false, nil
}

// parseClient never puts the secret into an error.
func (i *Introspection) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("client takes the id and the secret by which the other server knows this one, such as: client proxy {env.IDP_SECRET}")
	}
	i.ClientID, i.ClientSecret = args[0], args[1]
	return nil
}

// Options returns the options of the library, with placeholders as they are.
func (i *Introspection) Options() introspection.Options {
	return introspection.Options{
		URL: i.URL, ClientID: i.ClientID, ClientSecret: i.ClientSecret, Auth: i.Auth, InsecureHTTP: i.InsecureHTTP,
	}
}

// Literal returns the options with something that is good in the place of placeholders.
func (i *Introspection) Literal() introspection.Options {
	o := i.Options()
	if !adapt.IsLiteral(o.URL) {
		o.URL = "https://any.invalid/"
	}
	return o
}

// Resolve returns the options with placeholders resolved.
func (i *Introspection) Resolve(logger *slog.Logger) (o introspection.Options, err error) {
	o = i.Options()
	adapt.WarnLiteral(logger, "introspection: client_secret", i.ClientSecret)
	for _, value := range []struct {
		option, configured string
		into               *string
	}{{"url", i.URL, &o.URL}, {"client_id", i.ClientID, &o.ClientID}, {"client_secret", i.ClientSecret, &o.ClientSecret}} {
		if *value.into, err = adapt.Resolve("introspection: "+value.option, value.configured); err != nil {
			return o, err
		}
	}
	return o, nil
}
