package httpcheck

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Whatever an application answers: it is judged without a panic, a person has a subject, and what
// means no never has one.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"id":"u1","user":{"id":7,"ok":true}}`, "user.ok", "true")
	f.Add(401, `null`, "", "")
	f.Add(200, `{"a.b":{"c":1},"a":{"b.c":2}}`, "a.b.c", "1")
	f.Fuzz(func(t *testing.T, status int, body, member, value string) {
		c, err := New(Options{
			URL: "https://app.example/login", Subject: "id",
			Yes: []outbound.Rule{{Statuses: []int{200}, Member: member, Value: value}}, No: []outbound.Rule{{Statuses: []int{401}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		user, err := c.judge(&outbound.Answer{Response: &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}}, "typed")
		if (err == nil) != (user.Subject != "") {
			t.Errorf("%d %q: %q, %v", status, body, user.Subject, err)
		}
		if err == nil && status != http.StatusOK {
			t.Errorf("%d %q is yes", status, body)
		}
	})
}
