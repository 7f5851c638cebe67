package caddymodule_test

import (
	"go/ast"
	"strings"
	"testing"
)

// conformance lists the modules of the OpenID Foundation's conformance suites for what this server
// is, and what holds each of them here: a test, or a row of one, or a script; or what has to be
// there first. The suites' own names are the keys.
var conformance = map[string]string{
	// oidcc-basic-certification-test-plan
	"oidcc-server":                                          "TestForeignCodeFlow",
	"oidcc-server-client-secret-post":                       "TestOpenIDClient",
	"oidcc-response-type-missing":                           "TestAuthorizeRefuses/response_type missing",
	"oidcc-idtoken-signature":                               "TestIDToken",
	"oidcc-idtoken-unsigned":                                "never: alg none cannot be registered",
	"oidcc-userinfo-get":                                    "TestUserInfo/5.3.1: GET",
	"oidcc-userinfo-post-header":                            "TestUserInfo/5.3.1: POST",
	"oidcc-userinfo-post-body":                              "TestUserInfo/5.3.1: POST, in the form",
	"oidcc-ensure-request-without-nonce-succeeds-code-flow": "TestAuthorize",
	"oidcc-scope-profile":                                   "TestUserInfoClaims",
	"oidcc-scope-email":                                     "TestUserInfoClaims",
	"oidcc-scope-address":                                   "TestUserInfoClaims",
	"oidcc-scope-phone":                                     "TestUserInfoClaims",
	"oidcc-scope-all":                                       "TestUserInfoClaims",
	"oidcc-alternate-happy-flow":                            "TestAuthorize",
	"oidcc-display-page":                                    "TestAuthorize",
	"oidcc-display-popup":                                   "TestAuthorize",
	"oidcc-login-hint":                                      "TestAuthorize",
	"oidcc-ui-locales":                                      "TestAuthorize",
	"oidcc-claims-locales":                                  "TestAuthorize",
	"oidcc-prompt-login":                                    "TestSignInPrompts/login",
	"oidcc-max-age-1":                                       "TestSignInPrompts/max_age that is over",
	"oidcc-prompt-none-not-logged-in":                       "TestAuthorizeRefuses/prompt none, and nobody is there",
	"oidcc-prompt-none-logged-in":                           "TestAuthorizeSkipsConsent",
	"oidcc-max-age-10000":                                   "TestAuthorizeRefuses/max_age, and young enough",
	"oidcc-id-token-hint":                                   "TestIDTokenHint",
	"oidcc-ensure-request-with-unknown-parameter-succeeds":  "TestAuthorize",
	"oidcc-ensure-request-with-acr-values-succeeds":         "TestSignInIsTold",
	"oidcc-codereuse":                                       "TestAuthorizationCodeReplay/at once",
	"oidcc-codereuse-30seconds":                             "TestAuthorizationCodeReplay/after 30 s",
	"oidcc-ensure-registered-redirect-uri":                  "TestAuthorizeShowsWhatItCannotRedirect/redirect_uri of nobody",
	"oidcc-ensure-post-request-succeeds":                    "TestAuthorize",
	"oidcc-unsigned-request-object":                         "TestAuthorizeRefuses/a request object",
	"oidcc-request-uri-unsigned":                            "TestAuthorizeRefuses/a request object by reference",
	"oidcc-claims-essential":                                "TestAuthorize",
	"oidcc-refresh-token":                                   "TestRefreshRules/6: another client",
	"oidcc-ensure-request-with-valid-pkce-succeeds":         "TestForeignCodeFlow",
	"oidcc-discovery-endpoint-verification":                 "TestOpenIDMetadata",

	// What the dynamic plan adds.
	"oidcc-ensure-redirect-uri-in-authorization-request":  "TestAuthorizeShowsWhatItCannotRedirect/redirect_uri of a client without any",
	"oidcc-redirect-uri-query-OK":                         "TestAuthorizeKeepsTheQueryOfARedirectURI",
	"oidcc-redirect-uri-query-mismatch":                   "TestHasRedirectURI",
	"oidcc-redirect-uri-query-added":                      "TestAuthorizeShowsWhatItCannotRedirect/redirect_uri with a query",
	"oidcc-redirect-uri-regfrag":                          "TestRedirectURIsOfAClient",
	"oidcc-registration-logo-uri":                         "TestConsentShowsMetadata",
	"oidcc-registration-policy-uri":                       "TestConsentShowsMetadata",
	"oidcc-registration-tos-uri":                          "TestConsentShowsMetadata",
	"oidcc-registration-jwks-uri":                         "TestRegistrationNarrows/2: keys",
	"oidcc-server-rotate-keys":                            "TestIDTokenKeysRotate",
	"oidcc-refresh-token-rp-key-rotation":                 "TestURLKeysUnknownKeyID",
	"oidcc-ensure-client-assertion-with-iss-aud-succeeds": "TestAssertionOfAClient",

	// oidcc-rp-initiated-logout-certification-test-plan
	"oidcc-rp-initiated-logout-discovery-endpoint-verification":         "TestSignOut/metadata",
	"oidcc-rp-initiated-logout":                                         "TestSignOut/hint and redirect",
	"oidcc-rp-initiated-logout-no-state":                                "TestSignOut/no state",
	"oidcc-rp-initiated-logout-only-state":                              "TestSignOut/state alone",
	"oidcc-rp-initiated-logout-no-params":                               "TestSignOut/no parameters",
	"oidcc-rp-initiated-logout-no-post-logout-redirect-uri":             "TestSignOut/a hint that has expired",
	"oidcc-rp-initiated-logout-no-id-token-hint":                        "TestSignOutRefused/a redirect, and no client",
	"oidcc-rp-initiated-logout-bad-id-token-hint":                       "TestSignOut/a hint that others have signed",
	"oidcc-rp-initiated-logout-modified-id-token-hint":                  "TestSignOutRefused/a hint that is changed",
	"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri":            "TestSignOutRefused/another redirect",
	"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": "TestSignOutRefused/a query added",

	// fapi2-security-profile-final-test-plan
	"fapi2-security-profile-final-discovery-end-point":                        "TestDPoPToken",
	"fapi2-security-profile-final-happy-flow":                                 "TestFAPIHappyFlow",
	"fapi2-…-ensure-client-id-in-token-endpoint":                              "TestAssertionOfAClient",
	"fapi2-…-ensure-client-assertion-in-token-endpoint":                       "TestAssertionOfAClient",
	"fapi2-…-client-assertion-with-exp-is-5-minutes-in-past":                  "TestAssertionOfAClient",
	"fapi2-…-client-assertion-with-wrong-aud":                                 "TestAssertionAudience",
	"fapi2-…-client-assertion-with-no-sub":                                    "TestAssertionOfAClient",
	"fapi2-…-signed-client-assertion-with-RS256":                              "TestAssertionOfAClient",
	"fapi2-…-user-rejects-authentication":                                     "TestAuthorizeWritesNothing",
	"fapi2-…-authorization-request-without-state":                             "TestAuthorizeRefuses/no state",
	"fapi2-…-authorization-request-without-nonce":                             "TestAuthorize",
	"fapi2-…-authorization-request-with-long-nonce":                           "TestAuthorizeRefuses/a long nonce",
	"fapi2-…-authorization-request-with-long-state":                           "TestAuthorizeRefuses/a long state",
	"fapi2-…-other-scope-order":                                               "TestIDToken",
	"fapi2-…-response-type-code-idtoken":                                      "TestAuthorizeRefuses/response_type code id_token",
	"fapi2-…-response-type-token":                                             "TestAuthorizeRefuses/response_type token",
	"fapi2-…-authorization-code-is-bound-to-client":                           "TestAuthorizationCodeRules/4.1.3: another client",
	"fapi2-…-reuse-authorization-code-after-one-second":                       "TestAuthorizationCodeReplay",
	"fapi2-…-token-endpoint-fails-with-expired-auth-code":                     "TestAuthorizationCodeExpires",
	"fapi2-…-pkce-code-verifier-required":                                     "TestAuthorizationCodeRules/RFC 7636 4.6: verifier missing",
	"fapi2-…-incorrect-pkce-code-verifier-rejected":                           "TestAuthorizationCodeRules/RFC 7636 4.6: another verifier",
	"fapi2-…-par-ensure-pkce-required":                                        "TestPARRefuses",
	"fapi2-…-par-plain-pkce-rejected":                                         "TestPARRefuses",
	"fapi2-…-par-attempt-invalid-http-method":                                 "TestPARRefuses",
	"fapi2-…-par-without-duplicate-parameters":                                "TestPAR",
	"fapi2-…-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": "TestPARRequestURI",
	"fapi2-…-par-attempt-reuse-request_uri":                                   "TestPARRequestURI",
	"fapi2-…-par-attempt-to-use-expired-request_uri":                          "TestPARRequestURI",
	"fapi2-…-par-attempt-to-use-request_uri-for-different-client":             "TestPARRequestURI",
	"fapi2-…-par-authorization-request-containing-request_uri-form-param":     "TestPARRefuses",
	"fapi2-…-ensure-dpop-proof-at-par-endpoint-binding":                       "TestCodeBoundToAKey/10.1: a proof",
	"fapi2-…-check-dpop-proof-nbf-exp":                                        "TestDPoPAtAResource/4.2: exp and nbf do not matter",
	"fapi2-…-refresh-token":                                                   "TestRefreshTokensBoundToAKey",
	"fapi2-…-access-token-type-header-case-sensitivity":                       "TestDPoPAtAResource/7.1: the scheme in any case",
	"fapi2-…-ensure-unsigned-authorization-request-without-PAR":               "TestRequirePAR",
	"fapi2-…-par-test-array-as-audience":                                      "TestAssertionAudienceOfAPushedRequest",
	"fapi2-…-par-token-endpoint-url-as-audience":                              "TestAssertionAudienceOfAPushedRequest",
	"fapi2-…-par-nbf-8-seconds-in-the-future":                                 "TestAssertionOfAClient",
	"fapi2-…-par-nbf-over-60-seconds-in-the-future":                           "TestAssertionOfAClient",
	"fapi2-…-ensure-holder-of-key-required":                                   "TestDPoPBoundClient/5.2: no proof",
	"fapi2-…-ensure-mismatched-dpop-jkt":                                      "TestCodeBoundToAKey",
	"fapi2-…-ensure-token-endpoint-fails-with-mismatched-dpop-jkt":            "TestCodeBoundToAKey",
	"fapi2-…-ensure-dpop-auth-code-binding":                                   "TestCodeBoundToAKey/10: dpop_jkt",
	"fapi2-…-dpop-negative-tests":                                             "TestDPoPAtAResource",
	"fapi2-…-ensure-dpopproof-with-iat-10seconds-before-or-after":             "TestDPoPAtAResource/4.3 (11): 10 s before",
}

// Every module of the suites is held by something that is there, or waits for something that has a
// name.
func TestConformanceModulesHaveAnOwner(t *testing.T) {
	tests, rows := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				tests[n.Name.Name] = true
			case *ast.BasicLit:
				rows[strings.Trim(n.Value, "`\"")] = true
			}
			return true
		})
	}
	for module, owner := range conformance {
		if strings.HasPrefix(owner, "later: ") || strings.HasPrefix(owner, "never: ") {
			continue
		}
		test, row, _ := strings.Cut(owner, "/")
		if !tests[test] {
			t.Errorf("%s: there is no %s", module, test)
		}
		if row != "" && !rows[row] {
			t.Errorf("%s: %s has no row %q", module, test, row)
		}
	}
}
