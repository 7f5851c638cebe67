// An authorization server made of @jmondi/oauth2-server, as its documentation shows one: its own
// defaults, repositories in memory, and the same paths as those of the server that it is compared
// with. The one argument is a list of clients (RFC 7591). The URL is printed once it listens; it
// ends with its standard input.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { AuthorizationServer, DateInterval, generateRandomToken, guardAgainstInvalidClientScopes } from '@jmondi/oauth2-server';
import { handleVanillaError, requestFromVanilla, responseToVanilla } from '@jmondi/oauth2-server/vanilla';

const scopes = ['read', 'write'].map((name) => ({ name }));
const clients = JSON.parse(process.argv[2]).map((c) => ({
	id: c.client_id, name: c.client_id, secret: c.client_secret, redirectUris: c.redirect_uris ?? [],
	allowedGrants: c.grant_types ?? [], scopes: scopes.filter((s) => (c.scope ?? '').split(' ').includes(s.name)),
}));
const codes = new Map(), tokens = [];

const clientRepository = {
	getByIdentifier: async (id) => clients.find((c) => c.id === id),
	isClientValid: async (grant, client, secret) =>
		(!client.secret || client.secret === secret) && client.allowedGrants.includes(grant),
};
const scopeRepository = {
	getAllByIdentifiers: async (names) => scopes.filter((s) => names.includes(s.name)),
	finalize: async (asked, grant, client) => {
		guardAgainstInvalidClientScopes(client, asked);
		return asked;
	},
};
const found = (token) => token ?? Promise.reject(new Error('there is no such token'));
const tokenRepository = {
	issueToken: async (client, scopes, user) =>
		({ accessToken: generateRandomToken(), accessTokenExpiresAt: new DateInterval('1h').getEndDate(), client, scopes, user }),
	issueRefreshToken: async (token, client) => {
		if (!client.allowedGrants.includes('refresh_token')) return token;
		return Object.assign(token, { refreshToken: generateRandomToken(), refreshTokenExpiresAt: new DateInterval('2h').getEndDate() });
	},
	persist: async (token) => { if (!tokens.includes(token)) tokens.push(token); },
	revoke: async (token) => { token.accessTokenExpiresAt = token.refreshTokenExpiresAt = new Date(0); },
	revokeDescendantsOf: async (code) => {
		tokens.filter((t) => t.originatingAuthCodeId === code).forEach(tokenRepository.revoke);
	},
	isRefreshTokenRevoked: async (token) => Date.now() > token.refreshTokenExpiresAt.getTime(),
	getByRefreshToken: async (text) => found(tokens.find((t) => t.refreshToken === text)),
	getByAccessToken: async (text) => found(tokens.find((t) => t.accessToken === text)),
};
const authCodeRepository = {
	getByIdentifier: async (code) => codes.get(code),
	isRevoked: async (code) => Date.now() > codes.get(code).expiresAt.getTime(),
	issueAuthCode: (client, user, scopes) =>
		({ code: generateRandomToken(), expiresAt: new DateInterval('15m').getEndDate(), client, user, scopes }),
	persist: async (code) => { codes.set(code.code, code); },
	revoke: async (code) => { codes.get(code).expiresAt = new Date(0); },
};
const userRepository = { getUserByCredentials: async (id) => ({ id }) };

const server = new AuthorizationServer(clientRepository, tokenRepository, scopeRepository, randomUUID());
server.enableGrantType({ grant: 'authorization_code', userRepository, authCodeRepository });

const endpoints = {
	'POST /oauth/token': (r) => server.respondToAccessTokenRequest(r),
	'POST /oauth/revoke': (r) => server.revoke(r),
	'POST /oauth/introspect': (r) => server.introspect(r),
	'GET /oauth/authorize': async (r) => {
		const request = await server.validateAuthorizationRequest(r);
		if (r.headers['test-user']) request.user = { id: r.headers['test-user'] };
		request.isAuthorizationApproved = true;
		return server.completeAuthorizationRequest(request);
	},
};

createServer({ keepAliveTimeout: 0 }, async (request, answer) => {
	const url = new URL(request.url, 'http://127.0.0.1');
	const endpoint = endpoints[`${request.method} ${url.pathname}`];
	const body = request.method === 'GET' ? undefined : await new Response(request).text();
	let response = new Response('{}', { status: 404, headers: { 'content-type': 'application/json' } });
	if (endpoint) {
		const asked = await requestFromVanilla(new Request(url, { method: request.method, headers: request.headers, body }));
		response = responseToVanilla(await Promise.resolve().then(() => endpoint(asked)).catch(handleVanillaError));
	}
	answer.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
}).listen(0, '127.0.0.1', function () {
	console.log(`http://127.0.0.1:${this.address().port}`);
});
process.stdin.resume().on('end', () => process.exit());
