package clientauth_test

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// body returns a request with credentials in the body.
func body(id, secret string) request {
	return post("grant_type", cc, "client_id", id, "client_secret", secret)
}

func latin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
	}
	return b.String()
}

// RFC 6749 §2.3.1 and RFC 7617: the Authorization header, as clients write it.
func TestClientAuthBasic(t *testing.T) {
	billing := base64.StdEncoding.EncodeToString([]byte("billing:billing-secret"))
	newServer(t).Run(t, []rule{
		grants("2.3.1: form-encoded", plain.Basic("odd", oddSecret)),
		grants("2.3.1: every byte escaped", plain.RawBasic("%62%69lling:%62illing%2Dsecret")),
		grants("2.3.1: a colon and a percent in the id", plain.Basic("odd:% id", "odd")),
		grants("2.3.1: %20 for a space", plain.RawBasic("odd%3A%25%20id:odd")),
		grants("raw UTF-8, and a secret with a colon", plain.RawBasic("odd:"+oddSecret)),
		grants("raw Latin-1", plain.RawBasic("odd:"+latin1(oddSecret))),
		grants("9110 11.1: basic", plain.With("Authorization", "basic "+billing)),
		grants("9110 11.1: BASIC", plain.With("Authorization", "BASIC "+billing)),
		grants("9110 11.4: several spaces", plain.With("Authorization", "Basic   "+billing)),
		grants("3.2.1: client_id in the body is the same", post("grant_type", cc, "client_id", "billing").By("billing")),
		grants("3.2.1: the same in one reading", post("grant_type", cc, "client_id", "odd:% id").Basic("odd:% id", "odd")),
		grants("an empty client_secret is none", post("grant_type", cc, "client_secret", "").By("billing")),

		refuses("3.2.1: client_id in the body is another", post("grant_type", cc, "client_id", "reports").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.3: client_secret in the body, even if equal", body("billing", "billing-secret").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.3: client_secret in the body alone", post("grant_type", cc, "client_secret", "billing-secret").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.3: client_assertion beside it", post("grant_type", cc, "client_assertion", "x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.3: client_assertion_type beside it", post("grant_type", cc, "client_assertion_type", "x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("9110 5.3: two headers", plain.With("Authorization", "Basic "+billing, "Basic "+billing), 400, tokenep.InvalidRequest),
		refuses("9110 5.3: two schemes", plain.With("Authorization", "Basic "+billing, "Bearer x"), 400, tokenep.InvalidRequest),
		refuses("7617 2: no colon", plain.RawBasic("billing"), 401, tokenep.InvalidClient),
		refuses("7617 2: not base64", plain.With("Authorization", "Basic !!"), 401, tokenep.InvalidClient),
		refuses("7617 2: nothing behind the scheme", plain.With("Authorization", "Basic"), 401, tokenep.InvalidClient),
		refuses("two in one header", plain.With("Authorization", "Basic "+billing+", Basic "+billing), 401, tokenep.InvalidClient),
		refuses("the empty string twice", plain.RawBasic(":"), 401, tokenep.InvalidClient),
		refuses("a secret and no id", plain.RawBasic(":billing-secret"), 401, tokenep.InvalidClient),
		refuses("wrong secret", plain.Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("a secret in other letters", plain.Basic("billing", "Billing-secret"), 401, tokenep.InvalidClient),
		refuses("the beginning of the secret", plain.Basic("billing", "billing-secre"), 401, tokenep.InvalidClient),
		refuses("more than the secret", plain.Basic("billing", "billing-secret "), 401, tokenep.InvalidClient),
		refuses("the hash of the secret", plain.Basic("billing", tokeneptest.Clients()[0].Secrets[0].Hash), 401, tokenep.InvalidClient),
		refuses("the secret of another", plain.Basic("billing", "reports-secret"), 401, tokenep.InvalidClient),
		refuses("unknown id", plain.Basic("nobody", "x"), 401, tokenep.InvalidClient),
		refuses("an id of a kilobyte", plain.Basic(strings.Repeat("x", 1<<10), "x"), 401, tokenep.InvalidClient),
		refuses("an id that is not UTF-8", plain.RawBasic("\xff%ff:%ff"), 401, tokenep.InvalidClient),
		refuses("the id of one reading and the secret of another", plain.RawBasic("two%20readings:x%20y"), 401, tokenep.InvalidClient),
		refuses("encoded twice", plain.RawBasic("odd%253A%2525%2520id:odd"), 401, tokenep.InvalidClient),
		refuses("confidential, with an empty password", plain.RawBasic("billing:"), 401, tokenep.InvalidClient),
		refuses("confidential, with an empty password and the id in the body", post("grant_type", cc, "client_id", "billing").RawBasic("billing:"), 401, tokenep.InvalidClient),
		refuses("empty password, and the id in one reading", post("grant_type", cc, "client_id", "app").RawBasic("a%70p:"), 400, tokenep.UnauthorizedClient),
		refuses("empty password, and another id in the body", post("grant_type", cc, "client_id", "billing").RawBasic("app:"), 400, tokenep.InvalidRequest),
		refuses("empty password, and a secret in the body", body("billing", "billing-secret").RawBasic("billing:"), 400, tokenep.InvalidRequest),
	})
}

// What went wrong is said, and not only that the client is unknown.
func TestClientAuthNoID(t *testing.T) {
	a := newServer(t).Send(t, post("grant_type", cc, "client_secret", "billing-secret"))
	a.Refused(t, 401, tokenep.InvalidClient)
	if got := a.JSON["error_description"]; got != "client_secret came without a client_id" {
		t.Errorf("error_description %q", got)
	}
}

// RFC 6749 §2.3.1 (the body), §2.1 and §3.2.1 (public clients), §5.2 (invalid_client).
func TestClientAuthBody(t *testing.T) {
	newServer(t).Run(t, []rule{
		grants("2.3.1: the body", body("billing", "billing-secret")),
		grants("2.3.1: the body is form-encoded once", body("odd", oddSecret)),
		grants("beside a Bearer header", body("billing", "billing-secret").With("Authorization", "Bearer expired")),
		grants("beside a header of an unknown scheme", body("billing", "billing-secret").With("Authorization", "Negotiate x")),
		grants("beside an empty assertion", post("grant_type", cc, "client_id", "billing", "client_secret", "billing-secret", "client_assertion", "")),

		refuses("wrong secret", body("billing", "x"), 401, tokenep.InvalidClient),
		refuses("unknown id", body("nobody", "x"), 401, tokenep.InvalidClient),
		refuses("wrong secret beside a Bearer header", body("billing", "x").With("Authorization", "Bearer x"), 401, tokenep.InvalidClient),
		refuses("client_secret without client_id", post("grant_type", cc, "client_secret", "billing-secret"), 401, tokenep.InvalidClient),
		refuses("2.3: client_assertion beside it", post("grant_type", cc, "client_id", "billing", "client_secret", "billing-secret", "client_assertion", "x"), 400, tokenep.InvalidRequest),
		refuses("7521 4.2: an assertion, which is not built", post("grant_type", cc, "client_assertion", "x", "client_assertion_type", "x"), 401, tokenep.InvalidClient),
		refuses("7521 4.2: the same, of a public client", post("grant_type", cc, "client_id", "app", "client_assertion", "x"), 401, tokenep.InvalidClient),
		refuses("7521 4.2: half an assertion", post("grant_type", cc, "client_id", "app", "client_assertion_type", "x"), 401, tokenep.InvalidClient),
		refuses("5.2: no client at all", plain, 401, tokenep.InvalidClient),
		refuses("5.2: nothing but a Bearer header", plain.With("Authorization", "Bearer x"), 401, tokenep.InvalidClient),
		refuses("3.2.1: confidential, with client_id alone", post("grant_type", cc, "client_id", "billing"), 401, tokenep.InvalidClient),
		refuses("unknown, with client_id alone", post("grant_type", cc, "client_id", "nobody"), 401, tokenep.InvalidClient),
		refuses("a public client with a secret", body("app", "x"), 401, tokenep.InvalidClient),
		refuses("a public client with a secret in the header", plain.Basic("app", "x"), 401, tokenep.InvalidClient),
		refuses("a public client is known by client_id", post("grant_type", "x", "client_id", "app"), 400, tokenep.UnsupportedGrantType),
		refuses("a public client is known by Basic with an empty password", post("grant_type", "x").RawBasic("app:"), 400, tokenep.UnsupportedGrantType),
		refuses("also beside client_id", post("grant_type", "x", "client_id", "app").RawBasic("app:"), 400, tokenep.UnsupportedGrantType),

		grants("pinned to Basic", plain.By("headers")),
		refuses("pinned to Basic, sent in the body", body("headers", "headers-secret"), 401, tokenep.InvalidClient),
		grants("pinned to the body", body("bodies", "bodies-secret")),
		refuses("pinned to the body, sent by Basic", plain.By("bodies"), 401, tokenep.InvalidClient),
	})
}

// While a secret is being replaced, both are good, each until it expires.
func TestClientAuthRotation(t *testing.T) {
	f := newServer(t)
	f.Run(t, []rule{
		refuses("expired at this moment", plain.Basic("turning", "old-secret"), 401, tokenep.InvalidClient),
		grants("the one in use", plain.Basic("turning", "this-secret")),
		grants("the next one", plain.Basic("turning", "next-secret")),
	})
	f.Clock.Advance(time.Hour - 1)
	f.Run(t, []rule{grants("the last moment", plain.Basic("turning", "this-secret"))})
	f.Clock.Advance(1)
	f.Run(t, []rule{
		refuses("an hour later", plain.Basic("turning", "this-secret"), 401, tokenep.InvalidClient),
		grants("the next one stays", plain.Basic("turning", "next-secret")),
	})
}

// RFC 6749 §10: nobody learns whether an id exists. Both answers are the same, byte for byte.
func TestClientAuthUnknownLooksWrong(t *testing.T) {
	f := newServer(t)
	same := func(name string, a, b request) {
		left, right := f.Send(t, a), f.Send(t, b)
		left.Header.Del("Date")
		right.Header.Del("Date")
		if left.Status != right.Status || string(left.Body) != string(right.Body) || !reflect.DeepEqual(left.Header, right.Header) {
			t.Errorf("%s: %d %s %v, and %d %s %v", name, left.Status, left.Body, left.Header, right.Status, right.Body, right.Header)
		}
	}
	same("by Basic", plain.Basic("billing", "x"), plain.Basic("nobody", "x"))
	same("by body", body("billing", "x"), body("nobody", "x"))
	same("an expired secret", plain.Basic("turning", "old-secret"), plain.Basic("nobody", "x"))
	same("another method", plain.By("bodies"), plain.Basic("nobody", "x"))
	same("a public client", body("app", "x"), body("nobody", "x"))
	same("client_id alone", post("grant_type", cc, "client_id", "billing"), post("grant_type", cc, "client_id", "nobody"))
	same("an unreadable header", plain.With("Authorization", "Basic !"), plain.Basic("nobody", "x"))
}

// Clients that were registered at run time authenticate like the configured ones until they are
// removed, and their tokens are revoked with them.
func TestClientAuthStored(t *testing.T) {
	f := newServer(t)
	secret, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "made", GrantTypes: []string{cc}, Scope: verify.Scope{"a"}, AccessTokenTTL: tokenep.Duration(1000 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	f.Run(t, []rule{
		grants("Basic", plain.Basic("made", secret)),
		grants("the body", body("made", secret)),
		refuses("a wrong secret", plain.Basic("made", "x"), 401, tokenep.InvalidClient),
		refuses("no secret", plain.RawBasic("made:"), 401, tokenep.InvalidClient),
	})
	a, token := f.Granted(t, plain.Basic("made", secret))
	if life := token.Expires.Sub(token.IssuedAt); life != 4*time.Hour {
		t.Errorf("a token lives %s; keys and revocations are kept for 4 h", life)
	}
	if err := f.Clients.Remove(t.Context(), "made"); err != nil {
		t.Fatal(err)
	}
	f.Run(t, []rule{refuses("removed", plain.Basic("made", secret), 401, tokenep.InvalidClient)})
	if _, err := f.Verify(t, a.AccessToken()); err == nil {
		t.Error("the token of a client that was removed is good")
	}
}
