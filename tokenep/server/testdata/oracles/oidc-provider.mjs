// An authorization server made of oidc-provider, with its own defaults but for what is set below,
// and the same paths as those of the server that it is compared with. The user named by the header
// Test-User is signed in and allows everything. The one argument is a list of clients (RFC 7591).
// The URL is printed once it listens; it ends with its standard input.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const clients = JSON.parse(process.argv[2]);
const server = createServer({ keepAliveTimeout: 0 }).listen(0, '127.0.0.1', () => {
	const issuer = `http://127.0.0.1:${server.address().port}`;
	const provider = new Provider(issuer, {
		clients,
		scopes: ['openid', 'offline_access', 'read', 'write'],
		routes: {
			authorization: '/oauth/authorize', token: '/oauth/token', revocation: '/oauth/revoke',
			introspection: '/oauth/introspect', jwks: '/oauth/jwks',
		},
		features: {
			devInteractions: { enabled: false },
			clientCredentials: { enabled: true },
			introspection: { enabled: true },
			revocation: { enabled: true },
		},
		findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
		issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
		interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
	});
	const answer = provider.callback();
	server.on('request', async (request, response) => {
		if (!request.url.startsWith('/interaction/')) return answer(request, response);
		const { params } = await provider.interactionDetails(request, response);
		const accountId = request.headers['test-user'];
		if (!accountId) return response.writeHead(403, { 'content-type': 'text/html' }).end();
		const grant = new provider.Grant({ accountId, clientId: params.client_id });
		grant.addOIDCScope(params.scope ?? '');
		await provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId: await grant.save() } });
	});
	console.log(issuer);
});
process.stdin.resume().on('end', () => process.exit());
