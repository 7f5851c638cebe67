package endpoint

// Names returns the names of the endpoints of this package, by which a configuration can move them.
func Names() []string {
	return []string{authorizationName, introspectionName, jwksName, registrationName, revocationName, userInfoName, MetadataName}
}

const (
	authorizationName = "authorization"
	introspectionName = "introspection"
	jwksName          = "jwks"
	registrationName  = "registration"
	userInfoName      = "userinfo"
	revocationName    = "revocation"

	// MetadataName is the name of the endpoint that describes the others.
	MetadataName = "metadata"
)
