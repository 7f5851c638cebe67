package endpoint

// Names returns the names of the endpoints of this package, by which a configuration can move them.
func Names() []string {
	return []string{authorizationName, introspectionName, jwksName, revocationName, MetadataName}
}

const (
	authorizationName = "authorization"
	introspectionName = "introspection"
	jwksName          = "jwks"
	revocationName    = "revocation"

	// MetadataName is the name of the endpoint that describes the others.
	MetadataName = "metadata"
)
