package state

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func fuzzKey() []byte      { return bytes.Repeat([]byte{7}, minRefreshKey) }
func fuzzMAC() *RefreshMAC { return newRefreshMAC(fuzzKey()) }

func someRefreshToken() refreshToken {
	t := refreshToken{generation: 3}
	copy(t.family[:], "0123456789abcdefgh")
	copy(t.secret[:], "the secret of this family, all32")
	return t
}

// The MAC was computed by another program. It is fixed, so that a change of the format, which would
// sign out everybody, does not go unnoticed.
func TestRefreshTokenFormatStaysAsItIs(t *testing.T) {
	const old = "rt_MDEyMzQ1Njc4OWFiY2RlZmdoAAAAAAAAAAN0aGUgc2VjcmV0IG9mIHRoaXMgZmFtaWx5LCBhbGwzMlB-Ljy0gBwKSoT0zSOiQ8AJ32rvwGOclvGrRhchrwni"
	want := old + checksum(old)
	got := someRefreshToken().format(fuzzMAC())
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if read, ok := parseRefreshToken(fuzzMAC(), want); !ok || read != someRefreshToken() {
		t.Errorf("reads back as %+v, %v", read, ok)
	}
	// Those of earlier versions have no checksum, and stay as they are until they are rotated.
	read, ok := parseRefreshToken(fuzzMAC(), old)
	if !ok || read.format(fuzzMAC()) != old || read.successor().format(fuzzMAC()) != someRefreshToken().successor().format(fuzzMAC()) {
		t.Errorf("an old one reads back as %+v, %v", read, ok)
	}
}

func TestRefreshTokenWithOneCharacterChangedNeverParses(t *testing.T) {
	token := []byte(someRefreshToken().format(fuzzMAC()))
	for i, was := range token {
		for c := range 256 {
			token[i] = byte(c)
			if _, ok := parseRefreshToken(fuzzMAC(), string(token)); ok != (byte(c) == was) {
				t.Errorf("%q parses: %v", token, ok)
			}
		}
		token[i] = was
	}
}

func TestRefreshTokenOfAnotherKeyNeverParses(t *testing.T) {
	key := fuzzKey()
	for i := range key {
		key[i] ^= 1
		if _, ok := parseRefreshToken(fuzzMAC(), someRefreshToken().format(newRefreshMAC(key))); ok {
			t.Errorf("parses, although byte %d of the key differs", i)
		}
		key[i] ^= 1
	}
}

// A MAC is keyed again and again, when the garbage collector has emptied its pool.
func TestRefreshMACKeepsItsKey(t *testing.T) {
	key := fuzzKey()
	mac := newRefreshMAC(key)
	clear(key)
	for range 3 {
		if _, ok := parseRefreshToken(mac, someRefreshToken().format(fuzzMAC())); !ok {
			t.Error("the MAC has another key")
		}
	}
}

func TestRefreshMACNeeds32Bytes(t *testing.T) {
	for n, ok := range map[int]bool{0: false, minRefreshKey - 1: false, minRefreshKey: true, 2 * minRefreshKey: true} {
		if _, err := NewRefreshMAC(make([]byte, n)); (err == nil) != ok || (!ok && !errors.Is(err, ErrInvalid)) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

func TestIsRefreshToken(t *testing.T) {
	token := someRefreshToken().format(newRefreshMAC([]byte("the key of another server")))
	for text, want := range map[string]bool{token: true, token[1:]: false, token + "A": false, "": false, "x" + token[1:]: false} {
		if got := IsRefreshToken(text); got != want {
			t.Errorf("IsRefreshToken(%q) = %v", text, got)
		}
	}
}

// FuzzRefreshToken holds the parser to its promise: of each token there is one spelling; what
// parses was made with the key; and no neighbour of a token is one.
func FuzzRefreshToken(f *testing.F) {
	token := someRefreshToken().format(fuzzMAC())
	f.Add(token, []byte("another key"), 70, byte('x'))
	f.Add(token, fuzzKey(), len(token)-1, byte('\n'))
	f.Add("rt_"+strings.Repeat("A", refreshLength-3), []byte{}, 3, byte('A'))
	f.Add("rt_", fuzzKey(), 0, byte(0))
	f.Fuzz(func(t *testing.T, token string, key []byte, at int, c byte) {
		if read, ok := parseRefreshToken(fuzzMAC(), token); ok {
			if again := read.format(fuzzMAC()); again != token {
				t.Fatalf("%q parses, but is written %q", token, again)
			}
		}
		// Nothing that a fuzzer finds has the right MAC, so the rest of the property is tried on
		// what would.
		made := refreshToken{generation: uint64(at)}
		copy(made.family[:], token)
		copy(made.secret[:], token[min(len(token), familyIDBytes):])
		good := made.format(fuzzMAC())
		if read, ok := parseRefreshToken(fuzzMAC(), good); !ok || read != made {
			t.Fatalf("%q reads back as %+v", good, read)
		}
		if forged := made.format(newRefreshMAC(key)); forged != good {
			if _, ok := parseRefreshToken(fuzzMAC(), forged); ok {
				t.Fatalf("%q parses, although its MAC is of another key", forged)
			}
		}
		if at < 0 || at >= len(good) || good[at] == c {
			return
		}
		if changed := good[:at] + string([]byte{c}) + good[at+1:]; changed != good {
			if _, ok := parseRefreshToken(fuzzMAC(), changed); ok {
				t.Fatalf("%q parses, and so does %q", good, changed)
			}
		}
	})
}
