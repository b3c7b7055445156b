// Who may come in: assertions of a service account, refresh tokens of a user, exchanged tokens of somebody
// else, impersonation, and the metadata server of a machine.
import crypto from 'node:crypto';
import http from 'node:http';
import { Refusal, bodyOf, sendJson, sendRefusal } from './store.mjs';

const SKEW_S = 300;
const LIFE_S = 3599;
const AUTH = 'https://www.googleapis.com/auth/';
const STORAGE = ['devstorage.read_write', 'devstorage.full_control', 'cloud-platform'].map((s) => AUTH + s);
const IAM = ['iam', 'cloud-platform'].map((s) => AUTH + s);
const URN = 'urn:ietf:params:oauth:';
const tokens = new Map(); // token -> {end, scopes}

// What is believed, set by the options: {publicKey, issuer, client, secret, refreshToken, audience, subjectToken,
// offset: how many seconds our clock is ahead}.
export const trust = { offset: 0 };

export const now = () => Math.floor(Date.now() / 1000) + trust.offset;

class Denied extends Error {
	constructor(message, error = 'invalid_grant', status = 400) {
		super(message);
		Object.assign(this, { error, status });
	}
}

function newToken(scopes) {
	const token = `ya29.${crypto.randomBytes(48).toString('base64url')}`;
	tokens.set(token, { end: now() + LIFE_S, scopes: scopes.split(/[ ,]/) });
	return token;
}

const answerOf = (scopes) => ({ access_token: newToken(scopes), expires_in: LIFE_S, token_type: 'Bearer' });

// --- a service account ---

function verifyAssertion(jwt, audience) {
	const parts = String(jwt).split('.');
	if (parts.length !== 3 || parts.some((p) => !/^[A-Za-z0-9_-]+$/.test(p))) {
		throw new Denied('Invalid JWT: three parts in base64url without padding are needed.');
	}
	const [header, claims] = parts.slice(0, 2).map((p) => JSON.parse(Buffer.from(p, 'base64url')));
	if (header.alg !== 'RS256' || header.typ !== 'JWT') {
		throw new Denied('Invalid JWT: alg must be RS256, typ JWT.');
	}
	const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
	if (!crypto.verify('RSA-SHA256', signed, trust.publicKey, Buffer.from(parts[2], 'base64url'))) {
		throw new Denied('Invalid JWT Signature.');
	}
	if (claims.iss !== trust.issuer) {
		throw new Denied('Invalid grant: account not found');
	}
	if (claims.aud !== audience) {
		throw new Denied(`Invalid JWT: aud '${claims.aud}' is not this endpoint.`);
	}
	if (!Number.isInteger(claims.iat) || !Number.isInteger(claims.exp) || claims.exp - claims.iat > 3600) {
		throw new Denied('Invalid JWT: Token must be a short-lived token (60 minutes).');
	}
	if (claims.iat > now() + SKEW_S || claims.exp < now() - SKEW_S || claims.exp <= claims.iat) {
		throw new Denied('Invalid JWT: iat and exp are not in a reasonable timeframe.');
	}
	if (!String(claims.scope ?? '').split(' ').some((s) => STORAGE.includes(s))) {
		throw new Denied('Invalid OAuth scope or ID token audience provided.');
	}
	return claims.scope;
}

// --- a user, and somebody else's token ---

function refresh(form) {
	if (form.get('client_id') !== trust.client || form.get('client_secret') !== trust.secret) {
		throw new Denied('The OAuth client was not found.', 'invalid_client', 401);
	}
	if (form.get('refresh_token') !== trust.refreshToken) {
		throw new Denied('Token has been expired or revoked.');
	}
	return answerOf(AUTH + 'cloud-platform');
}

function exchange(form) {
	const must = {
		audience: trust.audience,
		requested_token_type: `${URN}token-type:access_token`,
		subject_token_type: `${URN}token-type:jwt`,
	};
	for (const [name, value] of Object.entries(must)) {
		if (form.get(name) !== value) {
			throw new Denied(`Invalid value for "${name}".`, 'invalid_request');
		}
	}
	if (form.get('subject_token') !== trust.subjectToken) {
		throw new Denied('The given credential is rejected by the attribute condition.', 'unauthorized_client');
	}
	if (!String(form.get('scope') ?? '').startsWith(AUTH)) {
		throw new Denied('Invalid scope.', 'invalid_scope');
	}
	return { ...answerOf(form.get('scope')), issued_token_type: `${URN}token-type:access_token` };
}

// base: of us, as the client names us, which may be a proxy before us.
export async function giveToken(req, res, base, path) {
	const form = new URLSearchParams((await bodyOf(req)).toString());
	const type = String(req.headers['content-type'] ?? '').split(';')[0];
	const grant = form.get('grant_type');
	try {
		if (req.method !== 'POST' || type !== 'application/x-www-form-urlencoded') {
			throw new Denied('A form must be posted.', 'invalid_request');
		}
		if (path === '/v1/token' && grant === `${URN}grant-type:token-exchange`) {
			sendJson(res, 200, exchange(form));
		} else if (path === '/token' && grant === `${URN}grant-type:jwt-bearer`) {
			sendJson(res, 200, answerOf(verifyAssertion(form.get('assertion'), `${base}/token`)));
		} else if (path === '/token' && grant === 'refresh_token') {
			sendJson(res, 200, refresh(form));
		} else {
			throw new Denied(`Invalid grant_type: ${grant}`, 'unsupported_grant_type');
		}
	} catch (e) {
		const { error, status, message } = e instanceof Denied ? e : new Denied(e.message);
		sendJson(res, status, { error, error_description: message });
	}
}

// --- impersonation ---

export async function impersonate(req, res, email) {
	checkToken(req, IAM);
	const { scope, lifetime, delegates = [] } = JSON.parse(await bodyOf(req));
	const seconds = Number(/^(\d+)s$/.exec(lifetime)?.[1]);
	if (!Array.isArray(scope) || scope.length === 0 || !Array.isArray(delegates) || !(seconds > 0 && seconds <= 3600)) {
		throw new Refusal(400, 'badRequest', 'Request contains an invalid argument.', {}, 'INVALID_ARGUMENT');
	}
	if (email !== trust.issuer) {
		throw new Refusal(403, 'forbidden', "Permission 'iam.serviceAccounts.getAccessToken' denied.", {}, 'PERMISSION_DENIED');
	}
	const expireTime = new Date((now() + seconds) * 1000).toISOString().replace(/\.\d+/, '');
	sendJson(res, 200, { accessToken: newToken(scope.join(' ')), expireTime });
}

// --- the metadata server, plain HTTP, and a subject token beside it ---

function answerMetadata(req, res) {
	const url = new URL(req.url, 'http://127.0.0.1');
	if (url.pathname === '/subject' && req.headers['x-subject'] === 'please') {
		sendJson(res, 200, { id: { token: 'no' }, access_token: trust.subjectToken });
		return;
	}
	if (req.headers['metadata-flavor'] !== 'Google' || req.headers['x-forwarded-for'] !== undefined) {
		throw new Refusal(403, 'forbidden', 'Missing Metadata-Flavor:Google header.');
	}
	const flavor = { 'metadata-flavor': 'Google' };
	const account = /^\/computeMetadata\/v1\/instance\/service-accounts\/default\/(token|email)$/.exec(url.pathname)?.[1];
	if (account === 'token' && req.method === 'GET') {
		sendJson(res, 200, answerOf(url.searchParams.get('scopes') ?? AUTH + 'cloud-platform'), flavor);
	} else if (req.method === 'GET' && (account === 'email' || /^\/computeMetadata\/v1\/(instance|universe)/.test(url.pathname))) {
		const text = account === 'email' ? trust.issuer : url.pathname.endsWith('universe-domain') ? 'googleapis.com' : '';
		res.writeHead(200, { ...flavor, 'content-type': 'application/text' }).end(text);
	} else {
		res.writeHead(404, flavor).end();
	}
}

export function listenMetadata(port, ready) {
	const server = http.createServer((req, res) => {
		try {
			answerMetadata(req, res);
		} catch (e) {
			sendRefusal(res, e);
		}
	});
	server.listen(port, '127.0.0.1', () => ready(server.address().port));
}

// --- what a token opens ---

export function checkToken(req, wanted = STORAGE) {
	const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
	const known = tokens.get(token);
	if (!(known?.end > now())) {
		const reason = token === undefined ? 'required' : 'authError';
		const message = token === undefined ? 'Anonymous caller is not allowed here.' : 'Invalid Credentials';
		throw new Refusal(401, reason, message, { 'www-authenticate': 'Bearer realm="https://accounts.google.com/"' });
	}
	if (!known.scopes.some((s) => wanted.includes(s))) {
		throw new Refusal(403, 'insufficientPermissions', 'Request had insufficient authentication scopes.');
	}
}

// An operator's hand: every token so far is dead.
export const forgetTokens = () => tokens.clear();
