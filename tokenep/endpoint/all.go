package endpoint

// Names returns the names of the endpoints of this package, by which a configuration can move them.
func Names() []string {
	return []string{
		accountName, apiTokensName, apiTokenName, authorizationName, consentName, deviceName, deviceAuthorizationName, grantsName, healthName, introspectionName, jwksName, pushedName, registrationName, revocationName,
		signInName, signOutName, userInfoName, MetadataName,
	}
}

const (
	authorizationName = "authorization"
	consentName       = "consent"
	grantsName        = "grants"
	healthName        = "health"
	introspectionName = "introspection"
	jwksName          = "jwks"
	registrationName  = "registration"
	userInfoName      = "userinfo"
	pushedName        = "pushed_authorization_request"
	revocationName    = "revocation"
	signInName        = "sign_in"
	signOutName       = "sign_out"
	accountName       = "account"
	apiTokensName     = "api_tokens"
	apiTokenName      = "api_token"
	deviceName        = "device"

	deviceAuthorizationName = "device_authorization"

	// LeakedName is the name of the endpoint for credentials that were found somewhere.
	LeakedName = "leaked"

	// MetadataName is the name of the endpoint that describes the others.
	MetadataName = "metadata"
)
