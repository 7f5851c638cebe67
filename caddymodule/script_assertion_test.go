package caddymodule_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// scriptProvers are the keys of clients for proofs, likewise.
type scriptProvers map[string]*verifytest.Prover

type scriptProversKey struct{}

// scriptDPoP prints a DPoP proof (RFC 9449 §4.2).
func scriptDPoP(ts *testscript.TestScript, neg bool, args []string) {
	provers := ts.Value(scriptProversKey{}).(scriptProvers)
	claims := verifytest.Claims{}
	token := ""
	if neg || len(args) < 3 || len(args)%2 == 0 {
		ts.Fatalf("usage: dpop KEY METHOD URL [-token TOKEN] [-nonce NONCE]")
	}
	for i := 3; i < len(args); i += 2 {
		switch args[i] {
		case "-token":
			token = args[i+1]
		case "-nonce":
			claims["nonce"] = args[i+1]
		default:
			ts.Fatalf("dpop: what is %q?", args[i])
		}
	}
	if provers[args[0]] == nil {
		provers[args[0]] = verifytest.NewProver("ES256")
	}
	_, _ = fmt.Fprintln(ts.Stdout(), provers[args[0]].Proof(args[1], args[2], token, claims))
}

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

// scriptAccessToken prints an access token (RFC 9068) of an issuer elsewhere. A value is JSON, or
// else a text; now, now-60 and now+60 are times.
func scriptAccessToken(ts *testscript.TestScript, neg bool, args []string) {
	typ, secret := "at+jwt", ""
	for len(args) > 2 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-typ":
			typ = args[1]
		case "-secret":
			secret = args[1]
		default:
			ts.Fatalf("access-token has no option %s", args[0])
		}
		args = args[2:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: access-token [-typ TYP] [-secret SECRET] KEY CLAIM=VALUE…")
	}
	claims := verifytest.Claims{}
	for _, arg := range args[1:] {
		name, text, _ := strings.Cut(arg, "=")
		var value any = text
		if after, ok := strings.CutPrefix(text, "now"); ok {
			seconds, err := strconv.ParseInt("0"+strings.TrimLeft(after, "+-"), 10, 64)
			ts.Check(err)
			if strings.HasPrefix(after, "-") {
				seconds = -seconds
			}
			value = time.Now().Unix() + seconds
		} else if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		claims[name] = value
	}
	token := scriptKey(ts, args[0]).Sign(claims, verifytest.Header("kid", args[0]), verifytest.Header("typ", typ))
	if secret != "" { // RFC 7518 §3.2
		header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"HS256","typ":%q}`, typ))
		token = header + "." + strings.Split(token, ".")[1]
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = io.WriteString(mac, token)
		token += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	_, _ = fmt.Fprintln(ts.Stdout(), token)
}
