package page

import "github.com/tokenep/caddy-tokenep/verify"

// Client is the application that asks for something.
type Client struct {
	Name           string // or its id
	SelfRegistered bool   // nobody has verified the name
	Home           string // of one that registered itself, as it says
	Logo           string // URI; empty: none
	Policy         string // URI, likewise
	TOS            string // URI, likewise
}

// SignIn is the page on which a person signs in by name and password.
type SignIn struct {
	Action string // where the form goes: a path
	Flow   string // hidden: what goes on afterwards
	Client Client // for which they sign in; zero: for none
	Name   string // to begin with
	User   string // who has signed in already, and may go on; empty: nobody
	Failed Failure
}

// Failure says why a person was not signed in.
type Failure string

// The failures.
const (
	NotFailed Failure = ""
	Wrong     Failure = "wrong" // name or password
	TooMany   Failure = "many"  // failures before it
	Away      Failure = "away"  // nobody knows at the moment
)

// Consent is the page on which a person decides about an authorization request (RFC 6749 §4.1.1).
type Consent struct {
	Client     Client
	User       string
	Host       string // where the browser is sent; empty: Scheme says to what
	Scheme     string // of a redirect to an application on the device
	Loopback   bool   // of the host
	Scope      verify.Scope
	Audience   []string
	Sealed     string // hidden
	Remembered bool   // the person will not be asked again
	Other      bool   // somebody else may sign in
}

// Device is the page for the code that a device shows (RFC 8628 §3.3): it asks for the code, then
// whether the device is allowed what it asks for, and then says that it is done.
type Device struct {
	Action   string // where the form goes: a path
	Page     string // hidden
	User     string
	Failed   string // why the code is not good: the key of a text
	UserCode string // on which to decide; empty: it is asked for
	Client   Client
	Scope    verify.Scope
	Audience []string
	Address  string // from where the device asked
	Done     string // the key of a text; empty: not yet
}

// FormPost is a page that sends itself to the client (OAuth 2.0 Form Post Response Mode).
type FormPost struct {
	To     string
	Values []Parameter
}

// Parameter is one of what is sent.
type Parameter struct{ Name, Value string }

// Error is a page that says why nothing goes on.
type Error struct {
	Description string // in English, for the developer of a client; empty: something broke
	Retry       bool   // it may help to try again
	ID          string // by which the log has it
}

// SignOut is the page that asks whether a person wants to sign out (OpenID Connect RP-Initiated
// Logout 1.0 §6).
type SignOut struct {
	Action string // where the form goes: a path
	Page   string // hidden
	User   string
	Client Client // that asks for it; zero: none
}

// SignedOut is the page after that.
type SignedOut struct {
	SignIn string // a path, where there is one
}
