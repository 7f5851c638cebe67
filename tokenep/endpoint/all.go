package endpoint

// Names returns the names of the endpoints of this package, by which a configuration can move them.
func Names() []string {
	return []string{
		authorizationName, consentName, grantsName, introspectionName, jwksName, pushedName, registrationName, revocationName, userInfoName, MetadataName,
	}
}

const (
	authorizationName = "authorization"
	consentName       = "consent"
	grantsName        = "grants"
	introspectionName = "introspection"
	jwksName          = "jwks"
	registrationName  = "registration"
	userInfoName      = "userinfo"
	pushedName        = "pushed_authorization_request"
	revocationName    = "revocation"

	// MetadataName is the name of the endpoint that describes the others.
	MetadataName = "metadata"
)
