package subject_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
)

// introspects adds another authorization server, with the clock of this one.
func introspects(t testing.TB, o subject.IntrospectionOptions, policies ...subject.Policy) tokeneptest.Change {
	return func(c *server.Config) {
		o.Answers.Now = c.Now
		o.ClientID, o.ClientSecret = "proxy:1", "s e&cret"
		i, err := subject.NewIntrospection(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.Close)
		c.Subjects = append(c.Subjects, &subject.Source{Name: i.Name(), Types: []string{accessToken}, Prove: i.Prove, Policies: policies})
	}
}

// saysJSON answers whatever is asked with the same JSON.
func saysJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		says(http.StatusOK, body)(w, r)
	}
}

func foreign(token string, pairs ...string) request {
	return tokeneptest.Exchange(token, accessToken, pairs...).By("billing")
}

// RFC 7662 §2.1: what is asked, and by whom.
func TestIntrospectionRequest(t *testing.T) {
	for _, auth := range []string{"", introspection.AuthBasic, introspection.AuthPost} {
		t.Run(auth, func(t *testing.T) {
			app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
				id, secret, basic := r.BasicAuth()
				want := "token=a.b.c"
				if auth == introspection.AuthPost {
					want = "client_id=proxy%3A1&client_secret=s+e%26cret&token=a.b.c"
				} else if id != "proxy%3A1" || secret != "s+e%26cret" { // RFC 6749 §2.3.1
					t.Errorf("Basic %q %q", id, secret)
				}
				if err := r.ParseForm(); err != nil || r.PostForm.Encode() != want || basic == (auth == introspection.AuthPost) || r.Header.Get("Accept") != "application/json" {
					t.Errorf("form %s, Basic %t, header %v", r.PostForm.Encode(), basic, r.Header)
				}
				saysJSON(`{"active":true,"sub":"ada","aud":"here"}`)(w, r)
			})
			f := tokeneptest.New(t, introspects(t, subject.IntrospectionOptions{Options: introspection.Options{URL: app.url, Auth: auth}, Audience: []string{"here"}}, person(t)))
			f.Granted(t, foreign("a.b.c"))
		})
	}
}

// RFC 7662 §2.2: what the members of an answer mean.
func TestIntrospectionResponse(t *testing.T) {
	const yes, no, nobody = "yes", "no", "nobody knows"
	at := func(after time.Duration) int64 { return tokeneptest.Start.Add(after).Unix() }
	members := func(format string, args ...any) string {
		return fmt.Sprintf(`{"active":true,"sub":"ada","aud":["there","here"]`+format+`}`, args...)
	}
	for _, tc := range []struct {
		name, body, means string
	}{
		{"active", members(``), yes},
		{"one aud", `{"active":true,"sub":"ada","aud":"here"}`, yes},
		{"not active", `{"active":false,"sub":"ada","aud":"here"}`, no},
		{"active is missing", `{"sub":"ada","aud":"here"}`, nobody},
		{"active is a text", `{"active":"true","sub":"ada","aud":"here"}`, nobody},
		{"active is a number", `{"active":1,"sub":"ada","aud":"here"}`, nobody},
		{"active in other letters", `{"Active":true,"sub":"ada","aud":"here"}`, nobody},
		{"no aud", `{"active":true,"sub":"ada"}`, no},
		{"another aud", `{"active":true,"sub":"ada","aud":"there"}`, no},
		{"an aud that is none", `{"active":true,"sub":"ada","aud":["here",1]}`, no},
		{"an aud that is an object", `{"active":true,"sub":"ada","aud":{"here":1}}`, no},
		{"Bearer", members(`,"token_type":"bearer"`), yes},
		{"another token_type", members(`,"token_type":"DPoP"`), no},
		{"token_type is no text", members(`,"token_type":["Bearer"]`), no},
		{"bound to a key", members(`,"cnf":{"jkt":"x"}`), no},
		{"bound in a way that nobody knows", members(`,"cnf":{"kid":"x"}`), no},
		{"bound to nothing", members(`,"cnf":{}`), no},
		{"cnf is a text", members(`,"cnf":"x"`), no},
		{"its iss", members(`,"iss":"https://idp.example"`), yes},
		{"another iss", members(`,"iss":"https://other.example"`), no},
		{"iss is no text", members(`,"iss":{"x":1}`), no},
		{"exp to come", members(`,"exp":%d`, at(time.Minute)), yes},
		{"exp with a fraction", members(`,"exp":%d.5`, at(time.Minute)), yes},
		{"exp past", members(`,"exp":%d`, at(0)), no},
		{"exp is no time", members(`,"exp":{"x":1}`), nobody},
		{"exp in milliseconds", members(`,"exp":%d000`, at(time.Minute)), nobody},
		{"nbf past", members(`,"nbf":%d`, at(0)), yes},
		{"nbf of a clock that is ahead", members(`,"nbf":%d`, at(subject.Leeway)), yes},
		{"nbf to come", members(`,"nbf":%d`, at(subject.Leeway+time.Second)), no},
		{"iat to come", members(`,"iat":%d`, at(subject.Leeway+time.Second)), no},
		{"may_act of a wrong type", members(`,"may_act":"x"`), no},
		{"a list", `[true]`, nobody},
		{"nothing", ``, nobody},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApplication(t, saysJSON(tc.body))
			o := subject.IntrospectionOptions{Options: introspection.Options{URL: app.url, Issuer: "https://idp.example"}, Audience: []string{"here"}}
			f := tokeneptest.New(t, introspects(t, o, person(t)))
			switch tc.means {
			case yes:
				if _, token := f.Granted(t, foreign("x")); token.Subject != "ada" {
					t.Errorf("it is about %s", token.Subject)
				}
			case no:
				f.Send(t, foreign("x")).Refused(t, 400, tokenep.InvalidRequest)
			default:
				unknown(t, f, foreign("x"))
			}
		})
	}
	for name, answer := range map[string]http.HandlerFunc{
		"another status":   says(http.StatusCreated, `{"active":true,"sub":"ada","aud":"here"}`),
		"our secret wrong": says(http.StatusUnauthorized, `{"error":"invalid_client"}`),
		"no JSON":          says(http.StatusOK, `{"active":true,"sub":"ada","aud":"here"}`), // text/plain
		"too long":         saysJSON(members(`,"x":"` + strings.Repeat("x", 10<<20) + `"`)),
	} {
		t.Run(name, func(t *testing.T) {
			o := subject.IntrospectionOptions{Options: introspection.Options{URL: newApplication(t, answer).url}, Audience: []string{"here"}}
			unknown(t, tokeneptest.New(t, introspects(t, o, person(t))), foreign("x"))
		})
	}
}

// The tokens of this server are its own business: the other server is not asked about them, whether
// they are good or not. What is too long is no token of anybody.
func TestIntrospectionBesideOwnTokens(t *testing.T) {
	app := newApplication(t, saysJSON(`{"active":true,"sub":"eve","iss":"https://any.example"}`))
	f := tokeneptest.New(t, introspects(t, subject.IntrospectionOptions{Options: introspection.Options{URL: app.url}, InsecureAnyAudience: true}, person(t)))
	own := f.Issued(t, plain.By("billing"))
	if _, token := f.Granted(t, foreign(own)); token.Subject == "eve" {
		t.Error("a token of this server has the subject that another one says")
	}
	f.Clock.Advance(24 * time.Hour)
	f.Send(t, foreign(own)).Refused(t, 400, tokenep.InvalidRequest)
	f.Send(t, foreign(own[:len(own)-4]+"AAAA")).Refused(t, 400, tokenep.InvalidRequest)
	f.Send(t, foreign(strings.Repeat("x", 17<<10))).Refused(t, 400, tokenep.InvalidRequest)
	if n := app.asked.Load(); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
	f.Granted(t, foreign("opaque"))
}

// Several sources of one type of token are asked in their order, until one knows a token. One that
// is away ends that: the token may be its own.
func TestSeveralSourcesOfOneType(t *testing.T) {
	knows := func(token, name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.PostFormValue("token") {
			case token:
				saysJSON(`{"active":true,"sub":"`+name+`"}`)(w, r)
			case "broken":
				says(http.StatusBadGateway, "")(w, r)
			default:
				saysJSON(`{"active":false}`)(w, r)
			}
		}
	}
	first, second := newApplication(t, knows("one", "ada")), newApplication(t, knows("two", "grace"))
	other := person(t)
	other.Name = "other"
	f := tokeneptest.New(t,
		introspects(t, subject.IntrospectionOptions{Options: introspection.Options{URL: first.url}, InsecureAnyAudience: true}, person(t)),
		introspects(t, subject.IntrospectionOptions{Options: introspection.Options{URL: second.url}, InsecureAnyAudience: true}, other))
	for token, want := range map[string]string{"one": "policy:person ada", "two": "policy:other grace"} {
		if _, got := f.Granted(t, foreign(token)); got.GrantID+" "+got.Subject != want {
			t.Errorf("%s: %s %s, want %s", token, got.GrantID, got.Subject, want)
		}
	}
	f.Send(t, foreign("three")).Refused(t, 400, tokenep.InvalidRequest)
	asked := second.asked.Load()
	unknown(t, f, foreign("broken"))
	if second.asked.Load() != asked {
		t.Error("the second was asked about a token that the first could not tell")
	}
}
