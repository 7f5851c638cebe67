package subject_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest/oracle"
)

// fuzzed is the issuers of FuzzSubjectJWT: two, and a trust domain. Their keys have the same kids.
type fuzzed struct {
	issuers []*verifytest.Issuer
	kinds   map[bool]tokenep.SubjectTokens // of the trust domain, or of the two issuers
}

func newFuzzed(f *testing.F) fuzzed {
	f.Helper()
	clock := verifytest.NewClock(tokeneptest.Start)
	all := fuzzed{kinds: make(map[bool]tokenep.SubjectTokens)}
	for _, name := range []string{"https://a.example", "https://b.example", "spiffe://example.org"} {
		i := verifytest.New(name, tokeneptest.Issuer, "ES256", "EdDSA")
		i.Now = clock.Now
		all.issuers = append(all.issuers, i)
	}
	for _, spiffe := range []bool{false, true} {
		var sources []*subject.Source
		c := verify.Config{SPIFFE: spiffe, Leeway: subject.Leeway, Now: clock.Now}
		for _, i := range all.issuers {
			if strings.HasPrefix(i.Name, "spiffe:") != spiffe {
				continue
			}
			trusted := i.Trust()
			trusted.Profile, trusted.Types = verify.ProfileJWT, []string{"at+jwt", "JWT", ""}
			if spiffe {
				domain, err := verify.TrustDomain(strings.TrimPrefix(i.Name, "spiffe://"))
				if err != nil {
					f.Fatal(err)
				}
				domain.Keys, domain.Audience = trusted.Keys, trusted.Audience
				trusted = domain
			}
			c.Issuers = append(c.Issuers, trusted)
			sources = append(sources, &subject.Source{Name: i.Name, Issuer: &trusted, SPIFFE: spiffe, Policies: []subject.Policy{{
				Name: "p", Subject: value(f, "claims.sub"), Clients: []string{subject.NoClient},
			}}})
		}
		foreign := subject.Foreign{GrantType: exchange, Now: clock.Now, Audience: func() []string { return []string{tokeneptest.Issuer} }}
		if spiffe {
			foreign.Form = subject.FormSPIFFE
		}
		var err error
		if foreign.Verifier, err = verify.New(c); err != nil {
			f.Fatal(err)
		}
		all.kinds[spiffe] = subject.KindsOf(sources, foreign).All[0]
	}
	return all
}

// FuzzSubjectJWT: a JWT that is accepted is, byte for byte, what the issuer that it names has
// signed, or the trust domain of its sub, go-jose accepts it with the same key, and its bytes say
// so. The input is a header and a payload, who signs them, with which key, and an edit of what
// comes of it.
func FuzzSubjectJWT(f *testing.F) {
	all := newFuzzed(f)
	payload := func(iss, sub string) string {
		return fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"exp":%d}`, iss, sub, tokeneptest.Issuer, tokeneptest.Start.Unix()+600)
	}
	for _, header := range []string{
		`{"alg":"ES256","kid":"ES256"}`, `{"alg":"ES256","kid":"ES256","typ":"JWT","x5t":"AA"}`, `{"alg":"EdDSA","kid":"EdDSA"}`, `{"alg":"none"}`,
		`{"alg":"ES256","alg":"none","kid":"ES256"}`, `{"alg":"HS256","kid":"ES256"}`, `{"alg":"ES256","kid":"ES256","jwk":{"kty":"oct","k":"AA"}}`,
		`{"alg":"ES256","kid":"ES256","nonce":5,"x":1e999}`,
	} {
		for signer, i := range all.issuers {
			for _, sub := range []string{"alice", "spiffe://example.org/cart"} {
				f.Add(header, payload(i.Name, sub), uint8(signer), strings.Contains(header, "EdDSA"), uint16(1<<15), uint16(0), "")
				f.Add(header, payload(i.Name, sub), uint8(signer+1), false, uint16(3), uint16(1), "x")
			}
		}
	}
	f.Add(`{"alg":"ES256","kid":"ES256"}`, strings.Replace(payload(all.issuers[0].Name, "alice"), "}", `,"SUB":1e999}`, 1), uint8(0), false, uint16(0), uint16(0), "")
	f.Fuzz(func(t *testing.T, header, payload string, signer uint8, edDSA bool, at, cut uint16, insert string) {
		algorithm := "ES256"
		if edDSA {
			algorithm = "EdDSA"
		}
		by := all.issuers[int(signer)%len(all.issuers)]
		signed := by.Sign(nil, verifytest.Algorithm(algorithm), verifytest.RawHeader(header), verifytest.RawPayload(payload))
		from := min(int(at), len(signed))
		token := signed[:from] + insert + signed[min(from+int(cut), len(signed)):]
		for spiffe, kind := range all.kinds {
			r := &tokenep.Request{Request: httptest.NewRequest("POST", "/", nil), Dialect: new(tokenep.Dialect), Outcome: new(tokenep.Outcome)}
			a, err := kind.Validate(t.Context(), r, token)
			if err != nil {
				continue
			}
			if token != signed || a.Issuer != by.Name {
				t.Fatalf("%q: accepted of %q, and %q was signed by %q", token, a.Issuer, signed, by.Name)
			}
			key, err := by.KeySet().Key(t.Context(), algorithm, algorithm)
			if err == nil {
				err = oracle.Check(token, key)
			}
			if err != nil {
				t.Fatalf("%q: accepted, but %v", token, err)
			}
			names(t, token, algorithm, spiffe, a)
		}
	})
}

// names holds what an accepted token stands for to what encoding/json reads in it.
func names(t *testing.T, token, algorithm string, spiffe bool, a *tokenep.Authorization) {
	t.Helper()
	var head, says map[string]any // a struct would read SUB as sub
	for i, into := range []*map[string]any{&head, &says} {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err != nil {
			t.Fatalf("%q: accepted, and %v", token, err)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber() // one that no float64 can hold is as good as another
		if err := decoder.Decode(into); err != nil {
			t.Fatalf("%q: accepted, but encoding/json says %v", token, err)
		}
	}
	alg, _ := head["alg"].(string)
	if verify.CanonicalAlgorithm(alg) != algorithm || head["kid"] != algorithm || head["crit"] != nil || spiffe && algorithm != "ES256" {
		t.Fatalf("%q: accepted by the key %s", token, algorithm)
	}
	if says["sub"] != a.Subject || !spiffe && says["iss"] != a.Issuer || spiffe && !strings.HasPrefix(a.Subject, a.Issuer+"/") {
		t.Fatalf("%q: accepted for %q of %s", token, a.Subject, a.Issuer)
	}
}

// FuzzIntrospectionResponse: whatever another server answers (RFC 7662 §2.2), a token is accepted
// only if encoding/json reads the same answer as one of an active token for this server. That the
// sender shows the key it is bound to is looked at later.
func FuzzIntrospectionResponse(f *testing.F) {
	var body atomic.Pointer[string]
	site := newApplication(f, func(w http.ResponseWriter, r *http.Request) { saysJSON(*body.Load())(w, r) })
	clock := verifytest.NewClock(tokeneptest.Start)
	i, err := subject.NewIntrospection(subject.IntrospectionOptions{Audience: []string{"here"}, Options: introspection.Options{
		URL: site.url, ClientID: "proxy", ClientSecret: "secret", Issuer: "https://idp.example",
		Answers: outbound.Answers{Now: clock.Now, Good: -1, Bad: -1},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(i.Close)
	exp := tokeneptest.Start.Add(time.Minute).Unix()
	for _, seed := range []string{
		`{"active":true,"aud":"here"}`, `{"active":true,"aud":["there","here"],"iss":"https://idp.example","token_type":"bearer"}`,
		fmt.Sprintf(`{"active":true,"aud":"here","exp":%d,"nbf":1,"iat":1}`, exp), `{"active":false,"active":true,"aud":"here"}`,
		`{"active":true,"aud":"here","cnf":{},"x":1e999}`, `{"Active":true,"active":true,"aud":"here"}`, `{"\u0061ctive":true,"aud":"here"}`, `[]`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		body.Store(&answer)
		r := &tokenep.Request{Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), Outcome: new(tokenep.Outcome)}
		if _, err := i.Prove(t.Context(), r, "opaque"); err != nil {
			return
		}
		var said map[string]any
		decoder := json.NewDecoder(strings.NewReader(answer))
		decoder.UseNumber() // as above
		if err := decoder.Decode(&said); err != nil {
			t.Fatalf("accepted, and encoding/json says %v", err)
		}
		audience, _ := said["aud"].([]any)
		if iss := said["iss"]; said["active"] != true || said["aud"] != "here" && !slices.Contains(audience, any("here")) || iss != nil && iss != "https://idp.example" {
			t.Errorf("accepted: %q", answer)
		}
		if exp, ok := said["exp"].(json.Number); ok {
			if at, err := exp.Float64(); err == nil && at <= float64(tokeneptest.Start.Unix()) {
				t.Errorf("accepted, and has expired: %q", answer)
			}
		}
	})
}
