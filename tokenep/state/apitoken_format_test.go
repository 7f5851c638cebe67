package state

import (
	"strings"
	"testing"
)

func TestAPITokenReadsBackAsItWasWritten(t *testing.T) {
	for _, prefix := range []string{"a", "demo", "abcdefghijklmno9"} {
		id, secret := randomBase62(idLength), randomBase62(secretLength)
		token := formatAPIToken(prefix, id, secret)
		p, i, s, ok := parseAPIToken(token)
		if !ok || p != prefix || i != id || s != secret {
			t.Errorf("%s reads back as %q %q %q %v", token, p, i, s, ok)
		}
	}
}

// The checksum was computed by another program. It is fixed, so that a change of the format, which
// would invalidate every token there is, does not go unnoticed.
func TestAPITokenFormatStaysAsItIs(t *testing.T) {
	const want = "demo_0123456789AB_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq0Fs1GL"
	got := formatAPIToken("demo", "0123456789AB", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAPITokenWithOneCharacterChangedNeverParses(t *testing.T) {
	for _, prefix := range []string{"a", "demo", "abcdefghijklmno9"} {
		token := []byte(formatAPIToken(prefix, randomBase62(idLength), randomBase62(secretLength)))
		for i, was := range token {
			for c := range 256 {
				token[i] = byte(c)
				if _, _, _, ok := parseAPIToken(string(token)); ok != (byte(c) == was) {
					t.Errorf("%q parses: %v", token, ok)
				}
			}
			token[i] = was
		}
	}
}

func TestAPITokenParsingIsStrict(t *testing.T) {
	id, secret := strings.Repeat("1", idLength), strings.Repeat("s", secretLength)
	withSum := func(body string) string { return body + checksum(body) }
	for name, token := range map[string]string{
		"empty":                      "",
		"a checksum only":            checksum(""),
		"no prefix":                  withSum("_" + id + "_" + secret),
		"a prefix with a capital":    withSum("Demo_" + id + "_" + secret),
		"a prefix of digits":         withSum("1demo_" + id + "_" + secret),
		"a prefix with underscore":   withSum("de_mo_" + id + "_" + secret),
		"a prefix that is too long":  withSum(strings.Repeat("p", maxPrefix+1) + "_" + id + "_" + secret),
		"a short id":                 withSum("demo_" + id[1:] + "_" + secret),
		"a long id":                  withSum("demo_1" + id + "_" + secret),
		"a short secret":             withSum("demo_" + id + "_" + secret[1:]),
		"a long secret":              withSum("demo_" + id + "_s" + secret),
		"an id beyond base62":        withSum("demo_-" + id[1:] + "_" + secret),
		"a secret beyond base62":     withSum("demo_" + id + "_é" + secret[2:]),
		"an underscore in a secret":  withSum("demo_" + id + "__" + secret[1:]),
		"a space in front":           " " + withSum("demo_"+id+"_"+secret),
		"a line end behind":          withSum("demo_"+id+"_"+secret) + "\n",
		"a checksum in lower case":   strings.ToLower(withSum("demo_" + id + "_" + secret)),
		"a checksum beyond 32 bits":  "demo_" + id + "_" + secret + "zzzzzz",
		"as a JWT begins":            "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0In0.c2ln",
		"id and secret, no checksum": "demo_" + id + "_" + secret,
	} {
		if _, _, _, ok := parseAPIToken(token); ok {
			t.Errorf("%s: %q parses", name, token)
		}
	}
}

func TestRandomBase62UsesEachCharacterAlike(t *testing.T) {
	const n = 62 * 1000
	count := make(map[rune]int)
	for _, c := range randomBase62(n) {
		count[c]++
	}
	for _, c := range base62 {
		if count[c] < 800 || count[c] > 1200 { // six standard deviations
			t.Errorf("%c occurs %d times, want about 1000", c, count[c])
		}
	}
	if len(count) != 62 {
		t.Errorf("%d characters occur, want 62", len(count))
	}
}

// FuzzAPIToken holds the parser to its promise: of each token there is one spelling, and no
// neighbour of a token is one.
func FuzzAPIToken(f *testing.F) {
	f.Add(formatAPIToken("demo", "0123456789AB", strings.Repeat("s", secretLength)), 7, byte('x'))
	f.Add(formatAPIToken("a", "zzzzzzzzzzzz", strings.Repeat("0", secretLength)), 0, byte('_'))
	f.Add("demo_0123456789AB_", 3, byte(0))
	f.Fuzz(func(t *testing.T, token string, at int, c byte) {
		prefix, id, secret, ok := parseAPIToken(token)
		if !ok {
			// Nothing that a fuzzer finds has the right checksum, so the rest of the property is
			// tried on what would.
			if cut := len(token) - crcLength; cut >= 0 {
				token = token[:cut] + checksum(token[:cut])
				prefix, id, secret, ok = parseAPIToken(token)
			}
		}
		if !ok {
			return
		}
		if again := formatAPIToken(prefix, id, secret); again != token {
			t.Fatalf("%q parses, but is written %q", token, again)
		}
		if at < 0 || at >= len(token) || token[at] == c {
			return
		}
		changed := token[:at] + string([]byte{c}) + token[at+1:]
		if _, _, _, ok := parseAPIToken(changed); ok {
			t.Fatalf("%q parses, and so does %q", token, changed)
		}
	})
}
