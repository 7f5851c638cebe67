package state

import (
	"strings"
	"testing"
)

// RFC 8628 §6.1: what people type, and what it stands for; empty: no user code.
func TestUserCodeIsReadAsItWasMeant(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"as it is shown":         {"WDJB-MJHT", "WDJBMJHT"},
		"lower case":             {"wdjb-mjht", "WDJBMJHT"},
		"no hyphen":              {"WDJBMJHT", "WDJBMJHT"},
		"spaces":                 {" wdjb mjht ", "WDJBMJHT"},
		"hyphens all over":       {"W-D-J-B--M.J.H.T", "WDJBMJHT"},
		"digits for letters":     {"8012-5611", "BQLZSGLL"},
		"vowels for look-alikes": {"oiu-bbbbb", "QLVBBBBB"},
		"seven letters":          {"WDJB-MJH", ""},
		"nine letters":           {"WDJB-MJHTT", ""},
		"a vowel":                {"WDJB-MJHA", ""},
		"a digit":                {"WDJB-MJH7", ""},
		"a dotless i":            {"WDJB-MJHı", ""},
		"wide letters":           {"ＷＤＪＢＭＪＨＴ", ""},
		"a slash":                {"WDJB/MJHT", ""},
		"a line end":             {"WDJB-MJHT\n", ""},
		"NUL":                    {"WDJB-MJHT\x00", ""},
		"empty":                  {"", ""},
		"separators only":        {"---- ----", ""},
		"too much of it":         {strings.Repeat("-", maxUserCodeInput) + "WDJBMJHT", ""},
	} {
		if got, err := parseUserCode(test.text); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q is read as %q, %v, want %q", name, test.text, got, err, test.want)
		}
	}
}

func TestRandomUserCodeUsesEachLetterAlike(t *testing.T) {
	count := make(map[rune]int)
	for range 2500 {
		letters := randomUserCode()
		if !isUserCode(letters) {
			t.Fatalf("%q is no user code", letters)
		}
		for _, c := range letters {
			count[c]++
		}
	}
	for _, c := range userCodeAlphabet {
		if count[c] < 800 || count[c] > 1200 { // six standard deviations
			t.Errorf("%c occurs %d times, want about 1000", c, count[c])
		}
	}
	if len(count) != len(userCodeAlphabet) {
		t.Errorf("%d letters occur, want %d", len(count), len(userCodeAlphabet))
	}
}

func TestNoLookAlikeIsInTheAlphabet(t *testing.T) {
	for seen, meant := range userCodeLookAlikes {
		if strings.IndexByte(userCodeAlphabet, seen) >= 0 || strings.IndexByte(userCodeAlphabet, meant) < 0 {
			t.Errorf("%c for %c", seen, meant)
		}
	}
}

// FuzzUserCode: whatever is read as a user code is one, is shown as one that reads back as the
// same, and does not depend on case.
func FuzzUserCode(f *testing.F) {
	for _, text := range []string{"WDJB-MJHT", "wdjbmjht", "8012 5611", "oiu-bbbbb", "WDJB-MJHı", "", "-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		letters, err := parseUserCode(text)
		if err != nil {
			return
		}
		if len(letters) != userCodeLength || strings.Trim(letters, userCodeAlphabet) != "" {
			t.Fatalf("%q is read as %q", text, letters)
		}
		for _, same := range []string{letters, formatUserCode(letters), strings.ToLower(text), strings.ToUpper(text)} {
			if again, err := parseUserCode(same); err != nil || again != letters {
				t.Fatalf("%q is read as %q, but %q as %q, %v", text, letters, same, again, err)
			}
		}
		if !isUserCode(letters) || isUserCode(formatUserCode(letters)) {
			t.Fatalf("isUserCode of %q", letters)
		}
	})
}
