package caddymodule_test

import (
	"encoding/json"
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// scriptKeys are the keys of a script by their names. Each is made when it is first used.
type scriptKeys map[string]*verifytest.Issuer

type scriptKeysKey struct{}

func scriptKey(ts *testscript.TestScript, name string) *verifytest.Issuer {
	keys := ts.Value(scriptKeysKey{}).(scriptKeys)
	if keys[name] == nil {
		keys[name] = verifytest.New("", "")
	}
	return keys[name]
}

// scriptJWKS prints the public keys (RFC 7517 §5).
func scriptJWKS(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: jwks KEY…")
	}
	public := []map[string]any{}
	for _, name := range args {
		var set struct{ Keys []map[string]any }
		ts.Check(json.Unmarshal(scriptKey(ts, name).JWKS(), &set))
		set.Keys[0]["kid"] = name
		public = append(public, set.Keys...)
	}
	text, err := json.Marshal(map[string]any{"keys": public})
	ts.Check(err)
	_, _ = fmt.Fprintf(ts.Stdout(), "%s\n", text)
}

// scriptAssertion prints an assertion (RFC 7523 §2.2).
func scriptAssertion(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: assertion KEY CLIENT AUDIENCE")
	}
	assertion := scriptKey(ts, args[0]).Sign(verifytest.Claims{"iss": args[1], "sub": args[1], "aud": args[2], "client_id": nil},
		verifytest.Header("typ", "JWT"), verifytest.Header("kid", args[0]))
	_, _ = fmt.Fprintln(ts.Stdout(), assertion)
}
