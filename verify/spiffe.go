package verify

import (
	"errors"
	"fmt"
	"strings"
)

// SPIFFE JWT-SVIDs: JWTs that say which workload of a trust domain their bearer is.
//
//	https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md   what sub is
//	https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md    the token
//	https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md

const spiffeScheme = "spiffe://"

// Values of use in a bundle (SPIFFE Trust Domain and Bundle §4.2.2).
const (
	useSVID     = "jwt-svid"
	useX509SVID = "x509-svid"
)

var (
	errSPIFFEID    = errors.New("not the SPIFFE ID of a workload, which is spiffe://<trust domain>/<path>")
	errTrustDomain = errors.New("a trust domain has 1 to 255 lower-case letters, digits, dots, hyphens and underscores")
	errBundleUse   = errors.New("use is not jwt-svid")
)

// TrustDomain returns the issuer of the JWT-SVIDs of a SPIFFE trust domain, such as example.org,
// for a [Config] with SPIFFE. Its Name is the SPIFFE ID of the domain. The caller adds the keys,
// which are those of its bundle (see [ParseBundle]), and the audience.
func TrustDomain(name string) (TrustedIssuer, error) {
	if !isTrustDomain(name) {
		return TrustedIssuer{}, fmt.Errorf("%.300q: %w", name, errTrustDomain)
	}
	return TrustedIssuer{
		Name: spiffeScheme + name, Types: []string{"JWT", "JOSE", ""},
		Algorithms: []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"},
	}, nil
}

func isTrustDomain(name string) bool {
	return name != "" && len(name) <= 255 && isSPIFFE(name, false)
}

// isSPIFFE reports whether s has only characters of a trust domain, or of a segment of a path,
// which may be capital letters too.
func isSPIFFE(s string, capitals bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', capitals && c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return true
}

// domainOf returns the SPIFFE ID of the trust domain of a workload. An ID has one spelling: no
// capital letters in scheme and domain, no port, query, fragment or percent-encoding, no segment
// that is empty, . or .. (SPIFFE-ID §2).
func domainOf(id string) (string, error) {
	rest, ok := strings.CutPrefix(id, spiffeScheme)
	domain, path, found := strings.Cut(rest, "/")
	if !ok || !found || !isTrustDomain(domain) {
		return "", fmt.Errorf("sub is %.100q: %w", id, errSPIFFEID)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !isSPIFFE(segment, true) {
			return "", fmt.Errorf("sub is %.100q: %w", id, errSPIFFEID)
		}
	}
	return spiffeScheme + domain, nil
}

// ParseBundle reads the bundle of a SPIFFE trust domain, which is a JWK Set: its keys for JWT-SVIDs
// alone, each with the use jwt-svid and a kid. Those for X.509-SVIDs, the sequence number and the
// refresh hint are passed over. For the rest see [ParseKeySet].
func ParseBundle(bundle []byte) (keys *StaticKeys, dropped []error, err error) {
	return parseKeySet(bundle, useSVID)
}

// parser returns the reader of a bundle, or of another key set.
func parser(spiffe bool) func([]byte) (*StaticKeys, []error, error) {
	if spiffe {
		return ParseBundle
	}
	return ParseKeySet
}

// CheckBundleURI returns what is wrong with the URL of a bundle. It is that of a key set.
func CheckBundleURI(uri string) error { return checkURL("bundle_uri", uri) }
