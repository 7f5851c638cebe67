package page

import (
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Account is the page on which people see their access, and end it.
type Account struct {
	User    string
	Action  string // where every form goes: a path
	Page    string // hidden
	Done    string // what was just done: the key of a text; empty: nothing
	Failed  string // why it was not: likewise
	SignOut string // a path; empty: others have signed the person in

	APITokens    bool   // there are such things
	New          string // a path: the page on which one is made; empty: none can be
	Tokens       []Token
	Applications []Application
	Sessions     []Session
}

// Token is an API token on that page.
type Token struct {
	ID, Name, Note, Service string
	Scope                   verify.Scope
	Created, Expires        time.Time // zero: never
	LastUsed                time.Time // zero: never
	From                    string    // the address of the last use
	Uses                    int64
	AllowFrom, DenyFrom     string    // addresses, separated by spaces
	Rate, Quota             string    // such as 100/1m; empty: at will
	NotBefore               time.Time // zero: it is good already
	OldUntil                time.Time // until when an earlier secret is good; zero: it is not
	Over                    string    // "revoked" or "expired"; empty: neither
	Reason                  string    // of the revocation
	Risk                    string    // "unused", "idle" or "forever"; empty: none
}

// Application is a client that a person has allowed something.
type Application struct {
	ID            string
	Client        Client
	Allowed       []Allowed
	Created, Used time.Time
}

// Allowed is a scope at some services.
type Allowed struct {
	Scope    verify.Scope
	Audience []string
}

// Session is a browser in which a person has signed in.
type Session struct {
	ID, Agent, Address string
	Created, Used      time.Time
	Current            bool // it is this browser
}

// NewToken is the page on which an API token is made, and the one that shows it, once.
type NewToken struct {
	User     string
	Action   string            // where the form goes: a path
	Back     string            // a path
	Page     string            // hidden
	Failed   string            // why it was not made: the key of a text; empty: it was not tried
	Wrong    map[string]string // why, by the names of fields: likewise
	Name     string            // to begin with
	Note     string            // likewise
	Services []Service
	Days     []int // from which to choose
	Most     int   // the most days
	Forever  bool  // it may never expire

	Life                                        string // one of Days, custom or never
	Custom                                      string // days, with custom
	AllowFrom, DenyFrom, Rate, Quota, NotBefore string // to begin with

	Made *MadeToken // nil: it is not made yet
}

// Focus returns the name of the field in which the person goes on: the first that is wrong, or else
// the first.
func (p NewToken) Focus() string {
	for _, field := range []string{"name", "note", "service", "days", "allow_from", "deny_from", "rate", "quota", "not_before"} {
		if p.Wrong[field] != "" {
			return field
		}
	}
	return "name"
}

// WrongLimit reports whether one of the limits is wrong, which are folded up otherwise.
func (p NewToken) WrongLimit() bool {
	return slices.Contains([]string{"allow_from", "deny_from", "rate", "quota", "not_before"}, p.Focus())
}

// Service is what an API token may be for.
type Service struct {
	Audience string
	Scope    verify.Scope
	Chosen   bool         // to begin with
	Granted  verify.Scope // likewise, of Scope
}

// MadeToken is an API token that was just made or rolled.
type MadeToken struct {
	Token
	Secret string // the text of the token
	Curl   string // a line for a shell, which exchanges it
}

// examples are what each page is tried with.
var examples = []any{
	SignIn{Client: Client{Name: "Example"}, User: "ann", Failed: Wrong},
	SignIn{Failed: TooMany}, SignIn{Failed: Away},
	Consent{Client: Client{Name: "Example", Logo: "https://a.example/", SelfRegistered: true, Home: "https://a.example/",
		Policy: "https://a.example/", TOS: "https://a.example/"}, User: "ann", Host: "a.example", Loopback: true,
		Scope: verify.Scope{"read"}, Audience: []string{"https://b.example/", "c"}, Remembered: true, Other: true},
	Consent{Scheme: "app"},
	Device{Failed: "device.unknown"}, Device{Done: "device.allowed"}, Device{UserCode: "BCDF-GHJK", Client: Client{Name: "Example", SelfRegistered: true},
		Scope: verify.Scope{"read"}, Audience: []string{"a"}, Address: "192.0.2.1"}, Device{UserCode: "BCDF-GHJK"},
	FormPost{To: "https://a.example/", Values: []Parameter{{"code", "1"}}},
	Error{}, Error{Description: "it is missing", Retry: true, ID: "1"}, Error{ID: "1"},
	SignOut{User: "ann", Client: Client{Name: "Example"}}, SignOut{},
	SignedOut{}, SignedOut{SignIn: "/"},
	Account{}, exampleAccount,
	NewToken{Services: []Service{{Audience: "a", Scope: verify.Scope{"read"}}}, Days: []int{7}, Most: 90, Forever: true, Failed: "account.failed", Wrong: wrongFields},
	NewToken{Made: &MadeToken{Secret: "1", Curl: "curl"}},
}

var wrongFields = map[string]string{
	"name": "wrong.name", "note": "wrong.note_long", "service": "wrong.service", "days": "wrong.days", "allow_from": "wrong.addresses",
	"deny_from": "wrong.addresses", "rate": "wrong.rate", "quota": "wrong.quota", "not_before": "wrong.not_before",
}

var exampleAccount = Account{
	User: "ann", Done: "account.revoked", Failed: "account.failed", SignOut: "/", APITokens: true, New: "/",
	Tokens: []Token{
		{Note: "a", Scope: verify.Scope{"read"}, Risk: "unused", AllowFrom: "::1", DenyFrom: "::2", Rate: "1/1s", Quota: "1/1d", NotBefore: time.Unix(1, 0), OldUntil: time.Unix(1, 0)},
		{Expires: time.Unix(1, 0), LastUsed: time.Unix(1, 0), From: "::1", Over: "revoked", Reason: "leaked"},
		{Over: "expired"}, {Risk: "idle"}, {Risk: "forever"},
	},
	Applications: []Application{{Client: Client{Name: "Example"}, Allowed: []Allowed{{verify.Scope{"read"}, []string{"a"}}, {}}, Used: time.Unix(1, 0)}},
	Sessions:     []Session{{Agent: "Firefox", Current: true}, {}},
}
