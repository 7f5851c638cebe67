package server_test

import (
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// The clients of the tests. A secret is the id with -secret behind it, unless it is said otherwise.
var clients = []tokenep.Client{
	{ID: "billing", Secrets: secrets("billing-secret"), GrantTypes: []string{cc, exchange},
		Scope: verify.Scope{"orders:read", "orders:write", "invoices"}, DefaultScope: verify.Scope{"orders:read"}, Audience: []string{orders, invoices}},
	{ID: "reports", Secrets: secrets("reports-secret"), GrantTypes: []string{cc}, Scope: verify.Scope{"reports"}},
	{ID: "headers", Secrets: secrets("headers-secret"), GrantTypes: []string{cc}, AuthMethod: tokenep.AuthBasic},
	{ID: "bodies", Secrets: secrets("bodies-secret"), GrantTypes: []string{cc}, AuthMethod: tokenep.AuthPost},
	{ID: "short", Secrets: secrets("short-secret"), GrantTypes: []string{cc, exchange}, AccessTokenTTL: tokenep.Duration(90 * time.Second)},
	{ID: "app", GrantTypes: []string{cc, exchange}, AuthMethod: tokenep.AuthNone}, // public
	{ID: "odd:% id", Secrets: secrets("odd"), GrantTypes: []string{cc}},
	{ID: "odd", Secrets: secrets(oddSecret), GrantTypes: []string{cc}},
	{ID: "two%20readings", Secrets: secrets("x y"), GrantTypes: []string{cc}},
	{ID: "fragment", Secrets: secrets("fragment-secret"), GrantTypes: []string{cc}, Audience: []string{orders + "#a"}},
	{ID: "turning", GrantTypes: []string{cc}, Secrets: []tokenep.Secret{
		{Hash: tokenep.HashSecret("old-secret"), Expires: start}, {Hash: tokenep.HashSecret("this-secret"), Expires: start.Add(time.Hour)}, {Hash: tokenep.HashSecret("next-secret")},
	}},
	{ID: "gateway", Secrets: secrets("gateway-secret"), GrantTypes: []string{cc, exchange}, ExchangeFrom: []string{"billing"},
		Scope: verify.Scope{"orders:read", "invoices"}, Audience: []string{orders}},
	{ID: "broker", Secrets: secrets("broker-secret"), GrantTypes: []string{exchange}, ExchangeFrom: []string{"*"},
		Scope: verify.Scope{"orders:read", "orders:write", "invoices"}, Audience: []string{orders, invoices, issuer}},
	{ID: "stranger", Secrets: secrets("stranger-secret"), GrantTypes: []string{cc, exchange}, Audience: []string{orders}},
}

const oddSecret = `p%ä:s +w"ö`

func secrets(all ...string) (s []tokenep.Secret) {
	for _, secret := range all {
		s = append(s, tokenep.Secret{Hash: tokenep.HashSecret(secret)})
	}
	return s
}
