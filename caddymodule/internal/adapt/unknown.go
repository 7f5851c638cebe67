package adapt

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unknown is the error for a word that is not in the grammar of a block.
type unknown string

func (word unknown) Error() string { return "unrecognized subdirective '" + string(word) + "'" }

// Unknown returns the error for a word that is not in the grammar. Block adds what is.
func Unknown(d *caddyfile.Dispenser) error { return d.WrapErr(unknown(d.Val())) }

// explain adds to the error for an unknown word what was probably meant, or else what there is. It
// finds that out by calling set for each word of any block; after an error nobody uses what was
// set.
func explain(d *caddyfile.Dispenser, word unknown, set func(option string) error) error {
	at := *d
	var known []string
	for _, option := range strings.Fields(options) {
		*d = *caddyfile.NewDispenser([]caddyfile.Token{{Text: option}})
		d.Next()
		if _, is := errors.AsType[unknown](set(option)); !is {
			known = append(known, option)
		}
	}
	*d = at
	return d.Errf("%s; %s", word, Meant(string(word), known))
}

// Meant returns the end of an error for a word that is none of those which are known.
func Meant(word string, known []string) string {
	if len(known) == 0 {
		return "there is no such option here, and no other"
	}
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return distance(word, k) > max(1, len(word)/4) })
	if len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "there are " + strings.Join(known, ", ")
}

// distance returns how many letters differ, are missing or too much.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := before
			if a[i] != b[j] {
				changed++
			}
			before = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Module reads a line that a module reads: of that name, in a namespace. An error says which
// modules there are.
func Module(d *caddyfile.Dispenser, namespace, name string) (caddyfile.Unmarshaler, error) {
	if _, err := caddy.GetModule(namespace + "." + name); err != nil {
		var known []string
		for _, module := range caddy.GetModules(namespace) {
			known = append(known, module.ID.Name())
		}
		return nil, d.Errf("module not registered: %s.%s, for which Caddy needs a plugin; %s", namespace, name, Meant(name, known))
	}
	return caddyfile.UnmarshalModule(d, namespace+"."+name)
}

// options are the words of all blocks.
const options = `
absolute accent accent_dark access_token_ttl acr acr_values actor_from addresses algorithms
allow_header_keys allow_loose_scope allow_missing_kid allow_missing_sub allow_never
allow_odd_claims allow_preflight allow_public allow_replay amr anonymous any_scope api_tokens
assert assertion_audience audience audience_claim auth auth_method auth_methods auth_signing_alg
auth_time authorization base basic_errors bearer_client bind bundle_addresses bundle_file
bundle_uri ca cache cache_entries cache_refused claim claims client client_alias
client_certificates clients close_streams consent_page cors_origins default_resource default_scope
device_code dialect discovery dpop dpop_bound_access_tokens dry_run encryption_key end_reused
error_body exchange_from exchange_to filter find folder form_token gone grace grant grants groups
header health hmac_secret id_token_alg identity idle ignore initial_access_token insecure_any_audience
insecure_any_method insecure_any_origin insecure_any_path insecure_http insecure_identity insecure_no_pkce
insecure_plain insecure_plain_pkce insecure_query_token insecure_unsecured_subject interval
introspect introspection invalid_client_status issuer json jwks jwks_file jwks_uri key_addresses
leeway life logo logo_uri management max_age max_auth_age max_chain max_life max_lifetime
max_per_user max_token_size may_act may_act_for mcp member method name no nonce once open openid
optional origin pages passthrough password_grant path per_hour policy policy_uri
post_logout_redirect_uris post_secret prefix profile rate_limit realm recheck redirect_uris
refresh_token refresh_tokens refuse_claims registration renew requests require_claims
require_offline_access require_par required resource revocation_interval revocation_max_age
revocation_server revocations rotation rule scope scope_claim scope_implies secret
secret_without_id send server service sessions signed signing_alg signing_key skip_consent store
strip subject subject_as_typed subject_token_error subject_token_type timeout
tls_client_auth_san_dns tls_client_auth_san_email tls_client_auth_san_ip tls_client_auth_san_uri
tls_client_auth_subject_dn tls_client_certificate_bound_access_tokens token_cookie token_endpoint
token_exchange token_file token_header token_pattern token_type tool tos_uri ttl types unused user
users when window yes
`
