// The token services of Microsoft Entra ID, as strict as a certified OAuth2 library (oidc-provider) makes them:
//
//   POST /TENANT/oauth2/v2.0/token    client_credentials by secret, or by the federated token of a workload
//   GET  /msi/token                   the managed identity of App Service and Container Apps
//
// What the library lets pass is refused here: another tenant, a scope that is not exactly storage, parameters twice.
// Runs where oidc-provider and jose are installed.
//
//   node oauth.mjs --port N --cert FILE --key FILE --tenant ID --client ID --secret WORD --federated FILE --issuer URL
//                  --subject NAME --word WORD
import fs from 'node:fs';
import https from 'node:https';
import { parseArgs } from 'node:util';
import * as jose from 'jose';
import Provider, { errors } from 'oidc-provider';

const names = ['port', 'cert', 'key', 'tenant', 'client', 'secret', 'federated', 'issuer', 'subject', 'word'];
const { values: o } = parseArgs({ options: Object.fromEntries(names.map((n) => [n, { type: 'string' }])) });
const RESOURCE = 'https://storage.azure.com';
const SCOPE = `${RESOURCE}/.default`;
const FORM = 'application/x-www-form-urlencoded';
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const LIFE_S = 3600;

const cluster = await jose.importSPKI(fs.readFileSync(o.federated, 'utf8'), 'RS256');
const { privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
const signing = { ...(await jose.exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'k1' };

const provider = new Provider(`https://sts.windows.net/${o.tenant}/`, {
	jwks: { keys: [signing] },
	clients: [{
		client_id: o.client, client_secret: o.secret, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
		token_endpoint_auth_method: 'client_secret_post',
	}],
	scopes: [SCOPE],
	features: {
		devInteractions: { enabled: false },
		clientCredentials: { enabled: true },
		resourceIndicators: {
			enabled: true,
			defaultResource: () => RESOURCE,
			useGrantedResource: () => true,
			getResourceServerInfo: () => ({
				scope: SCOPE, audience: RESOURCE, accessTokenFormat: 'jwt', accessTokenTTL: LIFE_S, jwt: { sign: { alg: 'RS256' } },
			}),
		},
	},
	extraTokenClaims: () => ({ tid: o.tenant, oid: '23657296-5cd5-45b0-a809-d972a7f4dfe1', nbf: Math.floor(Date.now() / 1000) - 5 }),
});

const refuse = (ctx, status, error, error_description) => {
	ctx.status = status;
	ctx.body = { error, error_description: `${error_description}\r\nTrace ID: 0 Timestamp: 0` };
};

// A token for a form that has been judged: the library's own token endpoint answers.
const issue = async (ctx, form, next) => {
	ctx.method = 'POST';
	ctx.path = '/token';
	ctx.querystring = '';
	ctx.req.headers['content-type'] = FORM;
	ctx.req.headers['content-length'] ??= '1';
	ctx.req.body = form;
	await next();
};

// Federated: the cluster's word for the workload takes the place of the secret.
const federated = async (form) => {
	if (form.client_assertion_type !== JWT_BEARER) throw new Error('client_assertion_type');
	await jose.jwtVerify(form.client_assertion, cluster, {
		issuer: o.issuer, subject: o.subject, audience: 'api://AzureADTokenExchange', algorithms: ['RS256'], requiredClaims: ['exp', 'iat'],
	});
	const { client_assertion, client_assertion_type, ...rest } = form;
	return { ...rest, client_secret: o.secret };
};

const token = async (ctx, next, body) => {
	const pairs = [...new URLSearchParams(body)];
	let form = Object.fromEntries(pairs);
	if (ctx.get('content-type') !== FORM || pairs.length !== Object.keys(form).length) {
		return refuse(ctx, 400, 'invalid_request', 'AADSTS900144: The request body is not a form, or has a parameter twice.');
	}
	if (form.scope !== SCOPE) return refuse(ctx, 400, 'invalid_scope', 'AADSTS70011: The provided value for scope is not valid.');
	if (form.client_assertion !== undefined) {
		try {
			form = await federated(form);
		} catch (e) {
			return refuse(ctx, 401, 'invalid_client', `AADSTS700027: The federated token is not valid: ${e.message}`);
		}
	}
	await issue(ctx, form, next);
	if (ctx.body?.error === 'invalid_client') refuse(ctx, 401, 'invalid_client', 'AADSTS7000215: Invalid client secret provided.');
};

const machine = async (ctx, next) => {
	const { 'api-version': version, resource, ...rest } = ctx.query;
	if (ctx.get('x-identity-header') !== o.word) {
		ctx.status = 401;
		ctx.body = { statusCode: 401, message: 'The identity header does not match.' };
		return;
	}
	if (version !== '2019-08-01' || resource !== `${RESOURCE}/` || Object.keys(rest).length > 0) {
		ctx.status = 400;
		ctx.body = { statusCode: 400, message: 'No managed identity for this request.' };
		return;
	}
	await issue(ctx, { grant_type: 'client_credentials', client_id: o.client, client_secret: o.secret, scope: SCOPE }, next);
	const expires_on = String(Math.floor(Date.now() / 1000) + ctx.body.expires_in);
	ctx.body = { access_token: ctx.body.access_token, expires_on, resource, token_type: 'Bearer', client_id: o.client };
};

provider.use(async (ctx, next) => {
	const chunks = [];
	for await (const chunk of ctx.req) chunks.push(chunk);
	const body = Buffer.concat(chunks).toString();
	if (ctx.method === 'POST' && ctx.path === `/${o.tenant}/oauth2/v2.0/token`) return token(ctx, next, body);
	if (ctx.method === 'GET' && ctx.path === '/msi/token') return machine(ctx, next);
	return refuse(ctx, 400, 'invalid_request', 'AADSTS90002: Tenant not found.');
});

https.createServer({ cert: fs.readFileSync(o.cert), key: fs.readFileSync(o.key) }, provider.callback())
	.listen(+o.port, '127.0.0.1', () => console.log('up'));
