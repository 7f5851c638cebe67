package tokenep_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// The JSON is written by hand. Whatever a claim says, it is what a reader of the JSON finds.
func TestClaimsAreJSONWhateverTheySay(t *testing.T) {
	f := tokeneptest.New(t)
	texts := []string{"", "ä", "\u2028", "😀", `\u0041`}
	for c := range rune(0x80) {
		texts = append(texts, string(c), "a"+string(c), string(c)+"b")
	}
	for _, text := range texts[1:] {
		token := f.Mint(t, tokenep.Claims{Subject: text, ClientID: text, GrantID: text, Audience: texts})
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Subject  string   `json:"sub"`
			ClientID string   `json:"client_id"`
			GrantID  string   `json:"grant_id"`
			Audience []string `json:"aud"`
		}
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatalf("%q: %v: %s", text, err, payload)
		}
		if got.Subject != text || got.ClientID != text || got.GrantID != text || strings.Join(got.Audience, "|") != strings.Join(texts, "|") {
			t.Errorf("%q has become %+v", text, got)
		}
	}
}

// Whoever asks which claims a token can have is told all of them.
func TestOwnClaimsAreThoseOfTokens(t *testing.T) {
	f, now, object := tokeneptest.New(t), time.Unix(1, 0), map[string]any{"sub": "a"}
	token := f.Mint(t, tokenep.Claims{
		Subject: "a", ClientID: "a", GrantID: "a", Audience: []string{"a"}, Scope: verify.Scope{"a"}, ChainIssuedAt: now, ChainExpires: now,
		Ancestors: []verify.Ancestor{{}}, Limits: []verify.Limit{{}}, Act: object, MayAct: object, Confirmation: object,
		SignIn: tokenep.SignIn{Time: now, Class: "a", Methods: []string{"a"}},
	})
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var claims map[string]any
	if err = errors.Join(err, json.Unmarshal(payload, &claims)); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(claims)), slices.Sorted(slices.Values(tokenep.OwnClaims())); !slices.Equal(got, want) {
		t.Errorf("a token has %q, and OwnClaims are %q", got, want)
	}
}

// JSON is UTF-8 (RFC 8259 §8.1), and so is a token, also if a name is not.
func TestTokenIsUTF8(t *testing.T) {
	f := tokeneptest.New(t)
	for text, want := range map[string]string{"\xff": `\ufffd`, "a\xc3": `a\ufffd`} {
		token := f.Mint(t, tokenep.Claims{Subject: text})
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil || !utf8.Valid(payload) || !strings.Contains(string(payload), `"sub":"`+want+`"`) {
			t.Errorf("%q: %s, %v", text, payload, err)
		}
	}
}

// A claim that has no JSON form is an error, and not a token without its claims.
func TestClaimWithoutAJSONFormMakesNoToken(t *testing.T) {
	f := tokeneptest.New(t)
	minter := &tokenep.Minter{Issuer: issuer, Keys: f.Keys, Now: f.Config.Now}
	bad := map[string]any{"level": math.NaN()}
	for name, claims := range map[string]tokenep.Claims{
		"act":     {Act: bad},
		"may_act": {MayAct: bad},
		"cnf":     {Confirmation: bad},
		"level":   {Extra: bad},
	} {
		minted, err := minter.Mint(&claims)
		if err == nil || !strings.Contains(err.Error(), name) || minted.Token != "" {
			t.Errorf("%s: the token is %q, %v", name, minted.Token, err)
		}
	}
	if token, err := minter.MintIDToken(new(tokenep.Client), new(tokenep.Claims), "", bad); err == nil || token != "" {
		t.Errorf("the ID token is %q, %v", token, err)
	}
}
