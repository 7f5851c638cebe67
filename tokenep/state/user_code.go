package state

import (
	"crypto/rand"
	"fmt"
)

// A user code is typed from one screen into another (RFC 8628 §6.1): eight of twenty consonants, in
// groups of four. There are 2.56e10 of them: to guess one of a thousand open ones within ten
// minutes takes more tries than the page allows.
const (
	userCodeLength   = 8
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ" // without vowels and Y, so that it spells no words
	maxUserCodeInput = 32                     // bytes that a user may type, with all separators
)

// userCodeLookAlikes maps characters that no user code has to the letters that they look like.
var userCodeLookAlikes = map[byte]byte{
	'0': 'Q', 'O': 'Q', '1': 'L', 'I': 'L', '2': 'Z', '5': 'S', '6': 'G', '8': 'B', 'U': 'V',
}

// userCodeLetters maps each byte to the letter that it stands for; 0: none.
var userCodeLetters = func() (letters [256]byte) {
	for _, c := range []byte(userCodeAlphabet) {
		letters[c] = c
	}
	for seen, meant := range userCodeLookAlikes {
		letters[seen] = meant
	}
	for c := byte('A'); c <= 'Z'; c++ {
		letters[c|0x20] = letters[c]
	}
	return letters
}()

// parseUserCode returns the eight letters of what a user has typed: in upper or lower case, with
// spaces, hyphens and dots anywhere, and with look-alikes.
func parseUserCode(text string) (letters string, err error) {
	if len(text) > maxUserCodeInput {
		return "", fmt.Errorf("%w user code, of %d bytes", ErrMalformed, len(text))
	}
	found := make([]byte, 0, maxUserCodeInput)
	for _, c := range []byte(text) {
		switch letter := userCodeLetters[c]; {
		case letter != 0:
			found = append(found, letter)
		case c != ' ' && c != '-' && c != '.':
			return "", fmt.Errorf("%w user code", ErrMalformed)
		}
	}
	if len(found) != userCodeLength {
		return "", fmt.Errorf("%w user code, of %d letters", ErrMalformed, len(found))
	}
	return string(found), nil
}

// isUserCode reports whether text is the eight letters of a user code, as parseUserCode returns
// them.
func isUserCode(text string) bool {
	letters, err := parseUserCode(text)
	return err == nil && letters == text
}

// formatUserCode writes the letters as they are shown: XXXX-XXXX.
func formatUserCode(letters string) string {
	return letters[:userCodeLength/2] + "-" + letters[userCodeLength/2:]
}

// randomUserCode returns eight letters, each of the twenty equally likely.
func randomUserCode() string {
	const n = byte(len(userCodeAlphabet))
	letters := make([]byte, 0, userCodeLength)
	var random [32]byte
	for len(letters) < userCodeLength {
		rand.Read(random[:]) // never fails: crypto/rand ends the program instead
		for _, b := range random {
			// 240 is 12 × 20: bytes from there on would favour the first letters.
			if b < 240 && len(letters) < userCodeLength {
				letters = append(letters, userCodeAlphabet[b%n])
			}
		}
	}
	return string(letters)
}
