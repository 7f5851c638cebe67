package tokenep

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// certificateNames returns the names that are registered of the client's certificate, by their
// members (RFC 8705 §2.1.2).
func (c *Client) certificateNames() map[string]string {
	names := map[string]string{
		"tls_client_auth_subject_dn": c.TLSSubjectDN, "tls_client_auth_san_dns": c.TLSSANDNS, "tls_client_auth_san_uri": c.TLSSANURI,
		"tls_client_auth_san_ip": c.TLSSANIP, "tls_client_auth_san_email": c.TLSSANEmail,
	}
	for member, name := range names {
		if name == "" {
			delete(names, member)
		}
	}
	return names
}

// validateCertificateName checks the name of the certificate, of which there must be exactly one
// (RFC 8705 §2.1.2).
func (c *Client) validateCertificateName() error {
	names := c.certificateNames()
	switch {
	case len(names) > 1:
		return errors.New("only one of the tls_client_auth_ names can be in the certificate of a client (RFC 8705 §2.1.2)")
	case len(names) == 1 && !c.Authenticates(AuthTLS):
		return errors.New("the name of a certificate is for clients that authenticate by tls_client_auth")
	}
	if c.TLSSubjectDN != "" {
		if _, err := parseDN(c.TLSSubjectDN); err != nil {
			return fmt.Errorf("tls_client_auth_subject_dn: %w", err)
		}
	}
	if c.TLSSANIP != "" {
		if _, err := netip.ParseAddr(c.TLSSANIP); err != nil {
			return errors.New("tls_client_auth_san_ip must be an IP address, such as 192.0.2.1")
		}
	}
	if u, err := url.Parse(c.TLSSANURI); err != nil || c.TLSSANURI != "" && u.Scheme == "" || u.String() != c.TLSSANURI {
		return errors.New("tls_client_auth_san_uri must be a URI in its usual form, such as spiffe://example.org/robot")
	}
	return nil
}

// OwnsCertificate reports whether a certificate has the name that is registered of the client's
// (RFC 8705 §2.1). Who has issued it is for the caller to check.
func (c *Client) OwnsCertificate(certificate *x509.Certificate) bool {
	switch {
	case c.TLSSubjectDN != "":
		registered, err := parseDN(c.TLSSubjectDN)
		if err != nil {
			return false
		}
		presented, err := parseRDNs(certificate.RawSubject)
		return err == nil && slices.EqualFunc(registered, presented, slices.Equal)
	case c.TLSSANDNS != "":
		return slices.ContainsFunc(certificate.DNSNames, func(name string) bool { return strings.EqualFold(name, c.TLSSANDNS) })
	case c.TLSSANURI != "":
		return slices.ContainsFunc(certificate.URIs, func(uri *url.URL) bool { return uri.String() == c.TLSSANURI })
	case c.TLSSANEmail != "":
		return slices.Contains(certificate.EmailAddresses, c.TLSSANEmail)
	case c.TLSSANIP != "":
		registered, err := netip.ParseAddr(c.TLSSANIP)
		return err == nil && slices.ContainsFunc(certificate.IPAddresses, func(ip net.IP) bool {
			address, ok := netip.AddrFromSlice(ip)
			return ok && address.Unmap() == registered.Unmap()
		})
	}
	return false
}

// distinguishedName is the name of a subject (RFC 4514 §2): the last part of it in the certificate
// is the first here. The attributes of a part, mostly one, are in alphabetical order.
type distinguishedName [][]attribute

// attribute is an attribute of a subject. Values are compared letter by letter: the rules for the
// comparison of each type (RFC 4517) are more lenient, and an issuer that keeps to its own spelling
// needs none of them.
type attribute struct{ oid, value string }

// attributeTypes are the short names of attributes, in capitals: those of RFC 4514 §3, and what
// tools write beside them.
var attributeTypes = map[string]string{
	"CN": "2.5.4.3", "SN": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "S": "2.5.4.8",
	"STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11", "TITLE": "2.5.4.12", "BUSINESSCATEGORY": "2.5.4.15", "POSTALCODE": "2.5.4.17",
	"GIVENNAME": "2.5.4.42", "GN": "2.5.4.42", "ORGANIZATIONIDENTIFIER": "2.5.4.97",
	"UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25", "EMAILADDRESS": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1",
}

// parseDN reads the text of a name (RFC 4514 §3).
func parseDN(text string) (distinguishedName, error) {
	dn, err := ldap.ParseDN(text)
	if err != nil || len(dn.RDNs) == 0 {
		return nil, errors.New("it must be a name as in RFC 4514, such as CN=robot,O=Example")
	}
	var name distinguishedName
	for _, rdn := range dn.RDNs {
		var part []attribute
		for _, a := range rdn.Attributes {
			oid := attributeTypes[strings.ToUpper(a.Type)]
			if oid == "" {
				oid = a.Type
			}
			if !strings.Contains(oid, ".") {
				return nil, fmt.Errorf("unknown attribute type %q; write its OID instead", a.Type)
			}
			part = append(part, attribute{oid, a.Value})
		}
		name = append(name, sorted(part))
	}
	return name, nil
}

// parseRDNs reads the name of a certificate.
func parseRDNs(der []byte) (distinguishedName, error) {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return nil, errors.New("the subject of the certificate cannot be read")
	}
	var name distinguishedName
	for _, rdn := range slices.Backward(rdns) {
		var part []attribute
		for _, a := range rdn {
			value, ok := a.Value.(string)
			if !ok {
				return nil, errors.New("the subject of the certificate has a value that is no text")
			}
			part = append(part, attribute{a.Type.String(), value})
		}
		name = append(name, sorted(part))
	}
	return name, nil
}

func sorted(part []attribute) []attribute {
	slices.SortFunc(part, func(a, b attribute) int { return strings.Compare(a.oid+"="+a.value, b.oid+"="+b.value) })
	return part
}
