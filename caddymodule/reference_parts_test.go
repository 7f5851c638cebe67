package caddymodule_test

// part is a part of the reference.
type part struct {
	title  string
	place  string // in Caddy's JSON; … is the server, the handler or the module that it is of
	syntax string // the function whose comment has the syntax; empty: there is none
	fields string // the type whose fields are the options; empty: there are none
	// spelled is how options are called in a Caddyfile that are called otherwise in JSON.
	spelled string
}

var reference = []part{
	{"all servers", "apps › oauth_server", "", "oauthserver.App", ""},
	{"oauth_server", "apps › oauth_server › servers › (name)", "oauthserver.parseServer", "oauthserver.AuthorizationServer", "identity=user"},
	{"rate_limit", "… › rate_limit", "", "tokenep.RateLimit", ""},
	{"signing_key", "… › signing_keys", "oauthserver.AuthorizationServer.parseSigningKey", "oauthserver.SigningKey", ""},
	{"encryption_key", "… › encryption_keys", "oauthserver.AuthorizationServer.parseEncryptionKey", "", ""},
	{"identity", "… › user", "oauthserver.AuthorizationServer.parseIdentity", "oauthserver.UserAttributes", ""},
	{"identity: claim", "… › user › claims", "", "oauthserver.UserClaim", ""},
	{"refresh_tokens", "… › refresh_tokens", "oauthserver.AuthorizationServer.parseRefreshTokens", "oauthserver.RefreshTokens", ""},
	{"sessions", "… › sessions", "oauthserver.AuthorizationServer.parseSessions", "oauthserver.Sessions", ""},
	{"device_code", "… › device_code", "oauthserver.AuthorizationServer.parseDeviceCode", "oauthserver.DeviceCode", ""},
	{"pages", "… › pages", "oauthserver.AuthorizationServer.parsePages", "oauthserver.Pages", ""},
	{"client_certificates of a server", "… › client_certificates", "oauthserver.AuthorizationServer.parseClientCertificates", "oauthserver.ClientCertificates", ""},
	{"dpop of a server", "… › dpop", "oauthserver.AuthorizationServer.parseDPoP", "oauthserver.DPoP", ""},
	{"registration", "… › registration", "oauthserver.AuthorizationServer.parseRegistration", "oauthserver.ClientRegistration", "grants=grant_types"},
	{"token_exchange", "… › token_exchange", "oauthserver.AuthorizationServer.parseTokenExchange", "oauthserver.TokenExchange", ""},
	{"api_tokens", "… › token_exchange › api_tokens", "oauthserver.APITokenRules.parse", "oauthserver.APITokenRules", ""},
	{"api_tokens: service", "… › token_exchange › api_tokens › services", "", "oauthserver.APITokenService", ""},
	{"grant", "… › grants", "oauthserver.AuthorizationServer.parseGrant", "", ""},
	{"client", "… › clients", "oauthserver.AuthorizationServer.parseClient", "tokenep.Client", ""},
	{"client: secret", "… › clients › secrets", "", "tokenep.Secret", ""},
	{"store", "… › store", "oauthserver.AuthorizationServer.parseStore", "", ""},
	{"store bolt", "", "boltstore.Store.UnmarshalCaddyfile", "boltstore.Store", ""},
	{"store memory", "", "memorystore.Store.UnmarshalCaddyfile", "memorystore.Store", ""},
	{"store redis", "", "redisstore.Store.UnmarshalCaddyfile", "redisstore.Store", ""},
	{"store postgres", "", "postgresstore.Store.UnmarshalCaddyfile", "postgresstore.Store", ""},
	{"users", "… › users", "oauthserver.AuthorizationServer.parseUsers", "", ""},
	{"users inline", "", "inlineusers.Users.UnmarshalCaddyfile", "inlineusers.Users", ""},
	{"users inline: user", "… › users", "", "inlineusers.User", ""},
	{"users htpasswd", "", "htpasswdusers.Users.UnmarshalCaddyfile", "htpasswdusers.Users", ""},
	{"users http", "", "httpusers.Users.UnmarshalCaddyfile", "httpusers.Users", ""},
	{"users ldap", "", "ldapusers.Users.UnmarshalCaddyfile", "ldapusers.Users", ""},
	{"users ldap: groups", "… › groups", "", "ldapusers.Groups", ""},
	{"users: claim", "… › claims", "oauthserver.ParseClaim", "tokenep.ClaimSource", ""},
	{"users: recheck", "… › recheck", "oauthserver.ParseRecheck", "", ""},
	{"subject", "… › subjects", "oauthserver.AuthorizationServer.parseSubject", "", ""},
	{"subject jwt", "", "jwtsubjects.Subject.UnmarshalCaddyfile", "jwtsubjects.Subject", ""},
	{"subject id_jag", "", "idjagsubjects.Subject.UnmarshalCaddyfile", "idjagsubjects.Subject", ""},
	{"subject spiffe", "", "spiffesubjects.Subject.UnmarshalCaddyfile", "spiffesubjects.Subject", ""},
	{"subject http", "", "httpsubjects.Subject.UnmarshalCaddyfile", "httpsubjects.Subject", ""},
	{"subject http: claim", "… › claims", "", "httpsubjects.Claim", ""},
	{"subject introspection", "", "introspectionsubjects.Subject.UnmarshalCaddyfile", "introspectionsubjects.Subject", ""},
	{"subject kubernetes", "", "kubernetessubjects.Subject.UnmarshalCaddyfile", "kubernetessubjects.Subject", ""},
	{"subjects that are asked about", "", "oauthsubject.Asked.ParseOption", "oauthsubject.Asked", ""},
	{"policy of a subject", "… › policies", "oauthsubject.ParsePolicy", "oauthsubject.Policy", ""},
	{"policy of a subject: claim and may_act", "… › policies › claims", "", "oauthsubject.Claim", ""},
	{"oauth_token", "handler oauth_token", "oauthtoken.Handler.UnmarshalCaddyfile", "oauthtoken.Handler", ""},
	{"token_endpoint", "… › token_endpoints", "oauthtoken.Handler.UnmarshalCaddyfile", "oauthtoken.TokenEndpoint", ""},
	{"oauth_verify", "handler oauth_verify", "oauthverify.Handler.UnmarshalCaddyfile", "oauthverify.Handler", ""},
	{"oauth_verify: options", "handler oauth_verify", "oauthverify.Handler.UnmarshalCaddyfile", "oauthverify.Options", ""},
	{"oauth_verify as a policy of many routes", "apps › oauth_verify › policies › (name)", "oauthverify.parsePolicy", "oauthverify.App", ""},
	{"oauth_verify: header", "… › headers", "oauthverify.Options.parseHeader", "oauthverify.ClaimHeader", ""},
	{"oauth_verify: token_header", "… › token_headers", "", "oauthverify.TokenHeader", ""},
	{"mcp", "… › mcp", "oauthverify.Options.parseMCP", "oauthverify.MCP", ""},
	{"mcp: tool and method", "… › mcp › tools, methods", "", "oauthverify.Operation", ""},
	{"dpop of a route", "… › dpop", "oauthverify.Options.parseDPoP", "oauthverify.DPoP", ""},
	{"client_certificates of a route", "… › client_certificates", "oauthverify.Options.parseClientCertificates", "oauthverify.ClientCertificates", ""},
	{"authorization", "… › authorization", "oauthverify.Options.parseAuthorization", "oauthverify.Authorization", ""},
	{"authorization token", "… › authorization › token", "oauthverify.Options.parseAuthorization", "oauthverify.MintedToken", ""},
	{"authorization basic", "… › authorization › basic", "", "oauthverify.BasicCredential", ""},
	{"authorization ask", "… › authorization › ask", "oauthverify.Options.parseAuthorization", "oauthverify.AskedCredential", ""},
	{"authorization exchange", "… › authorization › exchange", "oauthverify.Options.parseAuthorization", "oauthverify.ExchangedToken", ""},
	{"authorization exchange: endpoints", "… › authorization › exchange", "oauthverify.Options.parseAuthorization", "oauthverify.Endpoint", "client=client_id client=client_secret"},
	{"authorization: programs elsewhere", "… › authorization › ask, exchange", "oauthverify.Options.parseAuthorization", "oauthverify.Elsewhere", ""},
	{"issuer of a route", "… › issuers", "oauthverify.Options.parseIssuer", "oauthverify.Issuer", ""},
	{"issuer: options", "", "oauthissuer.TrustedIssuer.ParseOption", "oauthissuer.TrustedIssuer", ""},
	{"issuer of a route: revocations", "… › issuers › revocations", "oauthverify.Options.parseIssuer", "oauthverify.Revocations", "revocations=store revocation_server=server revocation_max_age=max_age"},
	{"issuer of a route: introspection", "… › issuers › introspection", "oauthverify.Issuer.parseIntrospection", "oauthverify.Introspection", ""},
	{"introspection endpoints", "", "remote.Introspection.ParseOption", "remote.Introspection", "client=client_id client=client_secret"},
	{"programs that are asked about tokens", "", "remote.Asked.ParseOption", "remote.Asked", ""},
	{"connections to programs elsewhere", "", "remote.Connection.ParseOption", "remote.Connection", ""},
	{"yes, no and gone", "", "", "remote.Rule", ""},
	{"Matcher oauth_scope", "http.matchers.oauth_scope", "oauthverify.MatchScope.UnmarshalCaddyfile", "", ""},
	{"Matcher oauth_claim", "http.matchers.oauth_claim", "oauthverify.MatchClaim.UnmarshalCaddyfile", "oauthverify.MatchClaim", ""},
}

const referenceHead = `# Reference of all options

This page is made of the comments in the source, and so is the documentation of the modules on
Caddy's website. Where no option is named, an argument of the line of that part sets it. In JSON, …
is the server, the handler or the module that the part is of. A duration is written as 30s, 4h or
730d; in JSON it may also be a number, of nanoseconds. The [manual](README.md) says how options go
together.
`
