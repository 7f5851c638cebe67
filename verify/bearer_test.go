package verify

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// RFC 6750 §2.1: the header Authorization.
func TestHeaderToken(t *testing.T) {
	const none, bad = 0, http.StatusBadRequest
	for _, c := range []struct {
		name   string
		values []string
		token  string
		status int
	}{
		{"RFC 6750 §3.1 no Authorization", nil, "", none},
		{"one token", []string{"Bearer a.b.c"}, "a.b.c", none},
		{"RFC 9110 §11.1 scheme in lower case", []string{"bearer a"}, "a", none},
		{"RFC 9110 §11.1 scheme in mixed case", []string{"bEaReR a"}, "a", none},
		{"b64token: every character", []string{"Bearer aZ09-._~+/=="}, "aZ09-._~+/==", none},
		{"RFC 6750 §2.1 no token", []string{"Bearer"}, "", bad},
		{"RFC 6750 §2.1 no token but a space", []string{"Bearer "}, "", bad},
		{"RFC 6750 §2.1 two spaces", []string{"Bearer  a"}, "a", none},
		{"RFC 6750 §2.1 many spaces", []string{"bearer      a.b"}, "a.b", none},
		{"RFC 6750 §2.1 spaces and a tab", []string{"Bearer  \ta"}, "", bad},
		{"RFC 6750 §2.1 only spaces", []string{"Bearer   "}, "", bad},
		{"RFC 6750 §2.1 tab", []string{"Bearer\ta"}, "", bad},
		{"RFC 6750 §2.1 space and tab", []string{"Bearer \ta"}, "", bad},
		{"RFC 6750 §2.1 trailing space", []string{"Bearer a "}, "", bad},
		{"RFC 6750 §2.1 trailing tab", []string{"Bearer a\t"}, "", bad},
		{"RFC 6750 §2.1 two words", []string{"Bearer a b"}, "", bad},
		{"b64token: only padding", []string{"Bearer =="}, "", bad},
		{"b64token: padding inside", []string{"Bearer a=b"}, "", bad},
		{"b64token: quotes", []string{`Bearer "a"`}, "", bad},
		{"b64token: NUL", []string{"Bearer a\x00"}, "", bad},
		{"b64token: line feed", []string{"Bearer a\nX: y"}, "", bad},
		{"b64token: not ASCII", []string{"Bearer é"}, "", bad},
		{"RFC 7515 §7.2 JSON serialization", []string{`Bearer {"payload":"a"}`}, "", bad},
		{"auth-param instead of a token", []string{`Bearer token="a"`}, "", bad},
		{"RFC 6750 §2.1 colon", []string{"Bearer: a"}, "", none},
		{"RFC 6750 §2.1 Token", []string{"Token a"}, "", none},
		{"RFC 6750 §2.1 Basic", []string{"Basic YTpi"}, "", none},
		{"RFC 6750 §2.1 BearerX", []string{"BearerX a"}, "", none},
		{"leading space", []string{" Bearer a"}, "", none},
		{"empty", []string{""}, "", none},
		{"RFC 6750 §2.1 comma list", []string{"Bearer a, Bearer b"}, "", bad},
		{"RFC 6750 §2.1 comma without space", []string{"Bearer a,Bearer"}, "", bad},
		{"two headers", []string{"Bearer a", "Bearer a"}, "", bad},
		{"two headers, one of another scheme", []string{"Basic YTpi", "Bearer a"}, "", bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			scheme, token, err := headerToken(c.values, false)
			if token != c.token {
				t.Errorf("token %q, want %q", token, c.token)
			}
			if token != "" && scheme+strings.Repeat(" ", len(c.values[0])-len(scheme)-len(token))+token != c.values[0] {
				t.Errorf("scheme %q of %q", scheme, c.values[0])
			}
			var refusal *Error
			switch {
			case c.status == none && err != nil:
				t.Errorf("refused: %v", err)
			case c.status != none && (!errors.As(err, &refusal) || refusal.Status != c.status || refusal.Code != InvalidRequest):
				t.Errorf("got %v, want %d %s", err, c.status, InvalidRequest)
			}
		})
	}
}

// RFC 6750 §2.1: each byte, at each place of a token and at each length of what is read at a time.
func TestB64TokenBytes(t *testing.T) {
	const good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	for length := 1; length <= 18; length++ {
		for at := range length {
			for c := range 256 {
				token := []byte(strings.Repeat("a", length))
				token[at] = byte(c)
				want := strings.IndexByte(good, byte(c)) >= 0 || c == '=' && at == length-1 && length > 1 || c == ' ' && at == 0 && length > 1
				if _, _, err := headerToken([]string{"Bearer " + string(token)}, false); (err == nil) != want {
					t.Fatalf("%q: %v", token, err)
				}
			}
		}
	}
}

// RFC 6750 §2.3: the parameter, however its name is encoded.
func TestFindToken(t *testing.T) {
	for _, c := range []struct {
		name, encoded string
		count         int
		token         string // "" = refused
	}{
		{"absent", "a=b&c", 0, ""},
		{"empty string", "", 0, ""},
		{"alone", "access_token=a.b.c", 1, "a.b.c"},
		{"among others", "x=1&access_token=a&y=2", 1, "a"},
		{"RFC 6750 §2.3 encoded name", "%61ccess_token=a", 1, "a"},
		{"RFC 6750 §2.3 wholly encoded name", "%61%63%63%65%73%73%5F%74%6f%6B%65%6E=a", 1, "a"},
		{"encoded value", "access_token=%61%2Eb", 1, "a.b"},
		{"RFC 6750 §2.3 repeated", "access_token=a&access_token=b", 2, ""},
		{"RFC 6750 §2.3 repeated, equal", "access_token=a&access_token=a", 2, ""},
		{"RFC 6750 §2.3 repeated, once encoded", "access_token=a&%61ccess_token=a", 2, ""},
		{"RFC 6750 §2.3 brackets are another name", "access_token[]=a", 0, ""},
		{"RFC 6750 §2.3 semicolon before", "x=1;access_token=a", 1, ""},
		{"RFC 6750 §2.3 semicolon after", "access_token=a;x=1", 1, ""},
		{"semicolon elsewhere", "x=1;y=2&access_token=a", 1, "a"},
		{"RFC 6749 §1.3 names are case-sensitive", "Access_Token=a", 0, ""},
		{"broken encoding of the name", "%zzaccess_token=a", 0, ""},
		{"broken encoding of the value", "access_token=a%", 1, ""},
		{"plus is a space", "access_token=a+b", 1, ""},
		{"empty value", "access_token=", 1, ""},
		{"no value", "access_token", 1, ""},
		{"RFC 7515 §2 encoded line feed", "access_token=a%0A", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := findToken(c.encoded)
			if p.count != c.count {
				t.Fatalf("count %d, want %d", p.count, c.count)
			}
			if p.count == 0 {
				return
			}
			token, err := p.token()
			if token != c.token || (err == nil) != (c.token != "") {
				t.Errorf("token %q, error %v; want %q", token, err, c.token)
			}
		})
	}
}

// What PHP makes access_token of counts as a second token, and never as the only one.
func TestResemblesToken(t *testing.T) {
	for name, want := range map[string]bool{
		"access.token": true, "access%2etoken": true, "access+token": true, "access%20token": true, "access%5Btoken": true, "access[token": true,
		"+access_token": true, "%20%20access.token": true, "access_token%00": true, "access_token%00x": true, "access.token%00]": true,
		"access_token": false, "%61ccess_token": false, "access_token[]": false, "access_token[a]": false, "access..token": false,
		"access_token+": false, "Access.token": false, "accessXtoken": false, "%zzaccess.token": false, "access-token": false, "": false, "%00": false,
	} {
		p := findToken("a=b&" + name + "=x")
		if (p.alike == 1) != want || p.alike > 1 || p.occurs() != (p.count > 0 || want) {
			t.Errorf("%s: %+v, want %t", name, p, want)
		}
		if _, err := p.token(); want && err == nil {
			t.Errorf("%s authenticates", name)
		}
	}
}

func TestWithoutToken(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"access_token=a", ""},
		{"x=%20+1&access_token=a&y;z", "x=%20+1&y;z"},
		{"%61ccess_token=a&x", "x"},
		{"access_token[]=a", "access_token[]=a"},
		{"x=1;access_token=a", "x=1"},
		{"access_token=a;x=1&y", "x=1&y"},
		{"x;%61ccess_token=a&access_token=b;y", "x;y"},
	} {
		if got := withoutParameter(c.query, namesToken); got != c.want {
			t.Errorf("%q: got %q, want %q", c.query, got, c.want)
		}
	}
}

// RFC 9449 §7.1: the scheme DPoP, where proofs are taken.
func TestHeaderTokenOfDPoP(t *testing.T) {
	for value, want := range map[string]string{
		"DPoP a.b.c": "a.b.c", "dpop a": "a", "DPoP": "bad", "DPoP a b": "bad", "DPoPX a": "", "DPo a": "", "Bearer a": "a", "Basic YTpi": "",
	} {
		_, token, err := headerToken([]string{value}, true)
		if err != nil {
			token = "bad"
		}
		if token != want {
			t.Errorf("%q: %q, %v; want %q", value, token, err, want)
		}
	}
	if _, token, err := headerToken([]string{"DPoP a"}, false); token != "" || err != nil {
		t.Errorf("where no proofs are taken: %q, %v", token, err)
	}
}

// A value that is accepted is the scheme, spaces and the token, and nothing else.
func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer a.b.c", "bearer a==", "Bearer  a", "Bearer a b", "Bearer\ta", "Basic a", "Bearer", "Bearer a,b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		sent, token, err := headerToken([]string{value}, false)
		if err != nil && token != "" {
			t.Fatalf("both a token and an error for %q", value)
		}
		if token == "" {
			return
		}
		scheme, _, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") || scheme+strings.Repeat(" ", max(1, len(value)-len(scheme)-len(token)))+token != value || sent != scheme {
			t.Fatalf("%q was read as %q %q", value, sent, token)
		}
		if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '"' }) {
			t.Fatalf("token %q has a character that b64token has not", token)
		}
	})
}

// For a query that net/url accepts, both find the same, and withoutToken removes nothing else.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"access_token=a", "x=1&%61ccess_token=a&y", "access_token=a&access_token=b", "access_token[]=a", "&&=&access_token"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		values, err := url.ParseQuery(encoded)
		if err != nil {
			return // a semicolon, or a broken percent-encoding
		}
		found, p := values[tokenParameter], findToken(encoded)
		if p.count != len(found) {
			t.Fatalf("%q: %d times, want %d", encoded, p.count, len(found))
		}
		if token, err := p.token(); err == nil && (len(found) != 1 || token != found[0]) {
			t.Fatalf("%q: token %q, want %q", encoded, token, found)
		}
		delete(values, tokenParameter)
		rest, err := url.ParseQuery(withoutParameter(encoded, namesToken))
		if err != nil || !reflect.DeepEqual(rest, values) {
			t.Fatalf("%q: %v is left, want %v", encoded, rest, values)
		}
	})
}
