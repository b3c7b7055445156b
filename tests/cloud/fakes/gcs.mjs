// A strict Google Cloud Storage on loopback: token endpoint, and the part of the JSON API that a publisher
// needs. Independent of the program: nothing here is shared with it, CRC-32C included.
//
//   node gcs.mjs --public-key sa.pub.pem --issuer ACCOUNT --bucket NAME [--bucket NAME]
//                [--port 0] [--cert c.pem --key k.pem]
//
// Prints the port on a line of its own once it listens. Without --cert it speaks plain HTTP.
//
// What it insists on: an access token from its own /token, which verifies the RS256 assertion (signature,
// iss, aud, scope, exp - iat <= 3600, clock); md5Hash and crc32c that fit (400); generation conditions (412,
// 304); well-formed multipart/related; metadata values that are strings; names that may be names; fields= that
// name fields. What is stored as gzip is inflated for clients that do not accept gzip.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import zlib from 'node:zlib';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({
	options: {
		port: { type: 'string', default: '0' },
		cert: { type: 'string' },
		key: { type: 'string' },
		'public-key': { type: 'string' },
		issuer: { type: 'string' },
		bucket: { type: 'string', multiple: true, default: [] },
	},
});
const publicKey = crypto.createPublicKey(fs.readFileSync(args['public-key']));
const scheme = args.cert ? 'https' : 'http';
const BODY_MAX = 256 << 20;
const SKEW_S = 300;
const SCOPES = [
	'https://www.googleapis.com/auth/devstorage.read_write',
	'https://www.googleapis.com/auth/devstorage.full_control',
	'https://www.googleapis.com/auth/cloud-platform',
];
const PROPERTIES = [
	'name', 'cacheControl', 'contentType', 'contentEncoding', 'contentLanguage', 'contentDisposition',
	'storageClass', 'customTime', 'metadata', 'crc32c', 'md5Hash',
];
const FIELDS = [
	...PROPERTIES, 'kind', 'id', 'bucket', 'generation', 'metageneration', 'size', 'etag', 'timeCreated',
	'updated', 'items', 'prefixes', 'nextPageToken', 'selfLink', 'mediaLink',
];
const buckets = new Map(args.bucket.map((name) => [name, new Map()]));
const tokens = new Map(); // token -> end of its life, seconds

// --- small things ---

const crcTable = Uint32Array.from({ length: 256 }, (_, i) => {
	let c = i;
	for (let bit = 0; bit < 8; bit++) {
		c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
	}
	return c >>> 0;
});

function crc32c(data) {
	let crc = 0xffffffff;
	for (const byte of data) {
		crc = crcTable[(crc ^ byte) & 0xff] ^ (crc >>> 8);
	}
	const out = Buffer.alloc(4);
	out.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
	return out.toString('base64');
}

const md5 = (data) => crypto.createHash('md5').update(data).digest('base64');
const seconds = () => Math.floor(Date.now() / 1000);
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

let lastGeneration = 0n;
function newGeneration() {
	const now = BigInt(Date.now()) * 1000n;
	lastGeneration = now > lastGeneration ? now : lastGeneration + 1n;
	return lastGeneration.toString();
}

class Refusal extends Error {
	constructor(status, reason, message, headers = {}) {
		super(message);
		Object.assign(this, { status, reason, headers });
	}
}

const invalid = (message) => new Refusal(400, 'invalid', message);
const notMet = () =>
	new Refusal(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
const noObject = (bucket, name) => new Refusal(404, 'notFound', `No such object: ${bucket}/${name}`);

function sendJson(res, status, value, headers = {}) {
	const body = Buffer.from(JSON.stringify(value));
	res.writeHead(status, {
		'content-type': 'application/json; charset=UTF-8',
		'content-length': body.length,
		'cache-control': 'private, max-age=0, must-revalidate, no-transform',
		...headers,
	});
	res.end(body);
}

function sendRefusal(res, e) {
	const { status: code, reason, message } = e;
	sendJson(res, code, { error: { code, message, errors: [{ message, domain: 'global', reason }] } }, e.headers);
}

async function bodyOf(req) {
	const parts = [];
	let size = 0;
	for await (const part of req) {
		size += part.length;
		if (size > BODY_MAX) {
			throw new Refusal(413, 'uploadTooLarge', 'The body is too large.');
		}
		parts.push(part);
	}
	const told = req.headers['content-length'];
	if (told !== undefined && Number(told) !== size) {
		throw invalid('Content-Length does not fit the body.');
	}
	return Buffer.concat(parts);
}

// --- tokens ---

// host: as the client names us, which may be that of a proxy before us.
function verifyAssertion(jwt, host) {
	const parts = String(jwt).split('.');
	if (parts.length !== 3 || parts.some((p) => !/^[A-Za-z0-9_-]+$/.test(p))) {
		throw new Error('Invalid JWT: three parts in base64url without padding are needed.');
	}
	const [header, claims] = parts.slice(0, 2).map((p) => JSON.parse(Buffer.from(p, 'base64url')));
	if (header.alg !== 'RS256' || header.typ !== 'JWT') {
		throw new Error('Invalid JWT: alg must be RS256, typ JWT.');
	}
	const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
	if (!crypto.verify('RSA-SHA256', signed, publicKey, Buffer.from(parts[2], 'base64url'))) {
		throw new Error('Invalid JWT Signature.');
	}
	const now = seconds();
	if (claims.iss !== args.issuer) {
		throw new Error('Invalid grant: account not found');
	}
	if (claims.aud !== `${scheme}://${host}/token`) {
		throw new Error(`Invalid JWT: aud '${claims.aud}' is not this endpoint.`);
	}
	if (!Number.isInteger(claims.iat) || !Number.isInteger(claims.exp) || claims.exp - claims.iat > 3600) {
		throw new Error('Invalid JWT: Token must be a short-lived token (60 minutes).');
	}
	if (claims.iat > now + SKEW_S || claims.exp < now - SKEW_S || claims.exp <= claims.iat) {
		throw new Error('Invalid JWT: iat and exp are not in a reasonable timeframe.');
	}
	if (!String(claims.scope ?? '').split(' ').some((s) => SCOPES.includes(s))) {
		throw new Error('Invalid OAuth scope or ID token audience provided.');
	}
}

async function giveToken(req, res) {
	const form = new URLSearchParams((await bodyOf(req)).toString());
	const type = String(req.headers['content-type'] ?? '').split(';')[0];
	try {
		if (req.method !== 'POST' || type !== 'application/x-www-form-urlencoded') {
			throw new Error('A form must be posted.');
		}
		if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') {
			throw new Error(`Invalid grant_type: ${form.get('grant_type')}`);
		}
		verifyAssertion(form.get('assertion'), req.headers.host);
	} catch (e) {
		sendJson(res, 400, { error: 'invalid_grant', error_description: e.message });
		return;
	}
	const token = `ya29.${crypto.randomBytes(48).toString('base64url')}`;
	tokens.set(token, seconds() + 3599);
	sendJson(res, 200, { access_token: token, expires_in: 3599, token_type: 'Bearer' });
}

function checkToken(req) {
	const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
	if (!(tokens.get(token) > seconds())) {
		const reason = token === undefined ? 'required' : 'authError';
		const message = token === undefined ? 'Anonymous caller is not allowed here.' : 'Invalid Credentials';
		throw new Refusal(401, reason, message, { 'www-authenticate': 'Bearer realm="https://accounts.google.com/"' });
	}
}

// --- objects ---

function checkName(name) {
	const bytes = Buffer.byteLength(name ?? '');
	if (bytes < 1 || bytes > 1024 || /[\r\n]/.test(name) || name === '.' || name === '..') {
		throw new Refusal(400, name ? 'invalid' : 'required', 'The object name is not valid.');
	}
}

function generationOf(query, name) {
	const value = query.get(name);
	if (value !== null && !/^\d{1,19}$/.test(value)) {
		throw invalid(`Invalid value for ${name}: ${value}`);
	}
	return value;
}

// 412 where a condition is lost; for reads, `same` tells that 304 is the answer.
function checkConditions(query, object) {
	const generation = object?.generation ?? '0', meta = object?.metageneration ?? '0';
	const must = [generationOf(query, 'ifGenerationMatch'), generationOf(query, 'ifMetagenerationMatch')];
	const not = [generationOf(query, 'ifGenerationNotMatch'), generationOf(query, 'ifMetagenerationNotMatch')];
	if ((must[0] !== null && must[0] !== generation) || (must[1] !== null && must[1] !== meta)) {
		throw notMet();
	}
	return (not[0] !== null && not[0] === generation) || (not[1] !== null && not[1] === meta);
}

function resourceOf(bucket, o) {
	return {
		kind: 'storage#object',
		id: `${bucket}/${o.props.name}/${o.generation}`,
		bucket,
		...o.props,
		generation: o.generation,
		metageneration: o.metageneration,
		size: String(o.data.length),
		md5Hash: o.md5Hash,
		crc32c: o.crc32c,
		etag: Buffer.from(`${o.generation}/${o.metageneration}`).toString('base64'),
		timeCreated: o.created,
		updated: o.created,
		storageClass: o.props.storageClass ?? 'STANDARD',
	};
}

function checkProperties(props) {
	for (const [name, value] of Object.entries(props)) {
		if (!PROPERTIES.includes(name)) {
			throw invalid(`Unknown or read-only property: ${name}`);
		}
		if (name !== 'metadata' && typeof value !== 'string') {
			throw invalid(`Invalid value for: ${name} is not a string`);
		}
	}
	let size = 0;
	for (const [name, value] of Object.entries(props.metadata ?? {})) {
		if (typeof value !== 'string') {
			throw invalid(`Invalid value for: metadata.${name} is not a string`);
		}
		size += Buffer.byteLength(name) + Buffer.byteLength(value);
	}
	if (size > 8192) {
		throw invalid('Metadata is too large.');
	}
}

function store(bucket, query, props, data) {
	const { crc32c: crc, md5Hash: digest, ...kept } = props;
	checkProperties(props);
	checkName(props.name);
	const objects = objectsOf(bucket);
	checkConditions(query, objects.get(props.name));
	const is = { crc32c: crc32c(data), md5Hash: md5(data) };
	if (digest !== undefined && digest !== is.md5Hash) {
		throw invalid(`Provided MD5 hash "${digest}" doesn't match calculated MD5 hash "${is.md5Hash}".`);
	}
	if (crc !== undefined && crc !== is.crc32c) {
		throw invalid(`Provided CRC32C "${crc}" doesn't match calculated CRC32C "${is.crc32c}".`);
	}
	if (Object.keys(kept.metadata ?? {}).length === 0) {
		delete kept.metadata;
	}
	const created = new Date().toISOString();
	const object = { props: kept, data, ...is, created, generation: newGeneration(), metageneration: '1' };
	objects.set(props.name, object);
	return resourceOf(bucket, object);
}

function objectsOf(bucket) {
	if (!buckets.has(bucket)) {
		throw new Refusal(404, 'notFound', 'The specified bucket does not exist.');
	}
	return buckets.get(bucket);
}

// --- uploads ---

function splitParts(type, body) {
	const found = /^multipart\/related;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*$/.exec(type);
	if (found === null) {
		throw invalid('Content-Type must be multipart/related with a boundary.');
	}
	const line = Buffer.from(`--${found[1] ?? found[2]}`);
	const between = Buffer.concat([Buffer.from('\r\n'), line]);
	if (!body.subarray(0, line.length).equals(line)) {
		throw invalid('Missing boundary at the start of the body.');
	}
	const parts = [];
	let at = line.length;
	for (;;) {
		const end = body.subarray(at, at + 2).toString('latin1');
		if (end === '--') {
			break;
		}
		const next = body.indexOf(between, at);
		const head = body.indexOf('\r\n\r\n', at);
		if (end !== '\r\n' || next === -1 || head === -1 || head > next) {
			throw invalid('Missing end boundary in multipart body.');
		}
		parts.push({ head: body.subarray(at + 2, head).toString('latin1'), data: body.subarray(head + 4, next) });
		at = next + between.length;
	}
	if (parts.length !== 2) {
		throw invalid(`Multipart body has ${parts.length} parts, not two.`);
	}
	return parts;
}

const partType = (part) => /^content-type:\s*([^\r\n]+)$/im.exec(part.head)?.[1].trim();

async function upload(req, res, bucket, query) {
	const body = await bodyOf(req);
	const type = req.headers['content-type'] ?? '';
	objectsOf(bucket);
	let resource;
	if (query.get('uploadType') === 'media') {
		const props = { name: query.get('name') };
		props.contentType = type || 'application/octet-stream';
		if (query.get('contentEncoding') !== null) {
			props.contentEncoding = query.get('contentEncoding');
		}
		resource = store(bucket, query, props, body);
	} else if (query.get('uploadType') === 'multipart') {
		const [properties, media] = splitParts(type, body);
		if (!/^application\/json(;|$)/i.test(partType(properties) ?? '')) {
			throw invalid('The first part must be application/json.');
		}
		let props;
		try {
			props = JSON.parse(properties.data);
		} catch {
			throw new Refusal(400, 'parseError', 'Parse Error');
		}
		props.name ??= query.get('name') ?? undefined;
		props.contentType ??= partType(media) ?? 'application/octet-stream';
		resource = store(bucket, query, props, Buffer.from(media.data));
	} else {
		throw invalid(`Upload type '${query.get('uploadType')}' is not known here.`);
	}
	sendJson(res, 200, selected(resource, query));
}

// --- partial answers: a,b,items(c,d/e) ---

function parseFields(text) {
	let at = 0;
	const names = () => {
		const out = {};
		for (;;) {
			const name = /^[A-Za-z0-9_*]+/.exec(text.slice(at))?.[0];
			if (name === undefined || (name !== '*' && !FIELDS.includes(name))) {
				throw invalid(`Invalid field selection ${name ?? text}`);
			}
			at += name.length;
			out[name] = null;
			if (text[at] === '(' || text[at] === '/') {
				const open = text[at++] === '(';
				out[name] = names();
				if (open && text[at++] !== ')') {
					throw invalid(`Invalid field selection ${text}`);
				}
			}
			if (text[at] !== ',') {
				return out;
			}
			at++;
		}
	};
	const tree = names();
	if (at !== text.length) {
		throw invalid(`Invalid field selection ${text}`);
	}
	return tree;
}

function pick(value, tree) {
	if (tree === null || typeof value !== 'object') {
		return value;
	}
	if (Array.isArray(value)) {
		return value.map((one) => pick(one, tree));
	}
	const out = {};
	for (const name of Object.keys(value)) {
		if (name in tree || '*' in tree) {
			out[name] = pick(value[name], tree[name] ?? tree['*'] ?? null);
		}
	}
	return out;
}

function selected(value, query) {
	const fields = query.get('fields');
	return fields === null ? value : pick(value, parseFields(fields));
}

// --- list, read, remove ---

function listObjects(res, bucket, query) {
	const prefix = query.get('prefix') ?? '', delimiter = query.get('delimiter') ?? '';
	const max = Number(query.get('maxResults') ?? 1000);
	if (!Number.isInteger(max) || max < 1) {
		throw invalid(`Invalid value for maxResults: ${query.get('maxResults')}`);
	}
	let after = null;
	if (query.get('pageToken') !== null) {
		after = Buffer.from(query.get('pageToken'), 'base64url').toString();
		if (!after.startsWith('after:')) {
			throw invalid('Invalid page token');
		}
		after = after.slice(6);
	}
	const from = query.get('startOffset'), to = query.get('endOffset');
	const items = [], prefixes = new Set();
	let last = null, more = false;
	for (const name of [...objectsOf(bucket).keys()].sort(byBytes)) {
		if (!name.startsWith(prefix) || (after !== null && byBytes(name, after) <= 0)) {
			continue;
		}
		if ((from !== null && byBytes(name, from) < 0) || (to !== null && byBytes(name, to) >= 0)) {
			continue;
		}
		const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
		const folder = cut === -1 ? null : name.slice(0, cut + delimiter.length);
		if (folder !== null && prefixes.has(folder)) {
			last = name;
			continue;
		}
		if (items.length + prefixes.size === Math.min(max, 1000)) {
			more = true;
			break;
		}
		if (folder !== null) {
			prefixes.add(folder);
		} else {
			items.push(resourceOf(bucket, objectsOf(bucket).get(name)));
		}
		last = name;
	}
	const out = { kind: 'storage#objects' };
	if (items.length > 0) {
		out.items = items;
	}
	if (prefixes.size > 0) {
		out.prefixes = [...prefixes];
	}
	if (more) {
		out.nextPageToken = Buffer.from(`after:${last}`).toString('base64url');
	}
	sendJson(res, 200, selected(out, query));
}

function acceptsGzip(req) {
	return String(req.headers['accept-encoding'] ?? '').split(',').some((one) => {
		const [name, ...parameters] = one.split(';').map((s) => s.trim().toLowerCase());
		return (name === 'gzip' || name === '*') && !parameters.some((p) => /^q=0(\.0*)?$/.test(p));
	});
}

// first..last of a Range header; undefined: none, null: cannot be met.
function rangeOf(req, size) {
	const found = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
	if (found === null || (found[1] === '' && found[2] === '')) {
		return undefined;
	}
	if (found[1] === '') {
		return size === 0 ? null : [Math.max(0, size - Number(found[2])), size - 1];
	}
	const last = found[2] === '' ? size - 1 : Math.min(Number(found[2]), size - 1);
	return Number(found[1]) > last ? null : [Number(found[1]), last];
}

function sendMedia(req, res, object) {
	const { props, data } = object;
	const headers = {
		'content-type': props.contentType,
		'cache-control': props.cacheControl ?? 'private, max-age=0',
		etag: `"${Buffer.from(object.md5Hash, 'base64').toString('hex')}"`,
		'last-modified': new Date(object.created).toUTCString(),
		'x-goog-generation': object.generation,
		'x-goog-metageneration': object.metageneration,
		'x-goog-hash': `crc32c=${object.crc32c},md5=${object.md5Hash}`,
		'x-goog-stored-content-length': data.length,
		'x-goog-stored-content-encoding': props.contentEncoding ?? 'identity',
		'accept-ranges': 'bytes',
		vary: 'Accept-Encoding',
	};
	for (const [name, value] of Object.entries(props.metadata ?? {})) {
		headers[`x-goog-meta-${name}`] = value;
	}
	const fixed = /(^|,)\s*no-transform\s*(,|$)/i.test(props.cacheControl ?? '');
	if (props.contentEncoding === 'gzip' && !fixed && !acceptsGzip(req)) {
		headers.warning = '214 UploadServer gunzipped';
		delete headers['accept-ranges'];
		res.writeHead(200, headers);
		res.end(zlib.gunzipSync(data));
		return;
	}
	if (props.contentEncoding !== undefined) {
		headers['content-encoding'] = props.contentEncoding;
	}
	const range = rangeOf(req, data.length);
	if (range === null) {
		throw new Refusal(416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable', {
			'content-range': `bytes */${data.length}`,
		});
	}
	const [first, last] = range ?? [0, data.length - 1];
	headers['content-length'] = last - first + 1;
	if (range !== undefined) {
		headers['content-range'] = `bytes ${first}-${last}/${data.length}`;
	}
	res.writeHead(range === undefined ? 200 : 206, headers);
	res.end(data.subarray(first, last + 1));
}

function readObject(req, res, bucket, name, query) {
	const object = objectsOf(bucket).get(name);
	if (object === undefined) {
		throw noObject(bucket, name);
	}
	if (checkConditions(query, object)) {
		res.writeHead(304, { 'x-goog-generation': object.generation });
		res.end();
	} else if (query.get('alt') === 'media') {
		sendMedia(req, res, object);
	} else {
		sendJson(res, 200, selected(resourceOf(bucket, object), query));
	}
}

function removeObject(res, bucket, name, query) {
	const objects = objectsOf(bucket);
	if (!objects.has(name)) {
		throw noObject(bucket, name);
	}
	checkConditions(query, objects.get(name));
	objects.delete(name);
	res.writeHead(204);
	res.end();
}

async function patchObject(req, res, bucket, name, query) {
	const change = JSON.parse(await bodyOf(req));
	const object = objectsOf(bucket).get(name);
	if (object === undefined) {
		throw noObject(bucket, name);
	}
	checkConditions(query, object);
	checkProperties(change);
	Object.assign(object.props, change);
	object.metageneration = String(Number(object.metageneration) + 1);
	sendJson(res, 200, selected(resourceOf(bucket, object), query));
}

// --- the server ---

async function answer(req, res) {
	const url = new URL(req.url, `${scheme}://127.0.0.1`);
	const query = url.searchParams;
	if (url.pathname === '/token') {
		await giveToken(req, res);
		return;
	}
	checkToken(req);
	const found = /^(\/upload|\/download)?\/storage\/v1\/b\/([^/]+)(?:\/o(?:\/([^/]+))?)?$/.exec(url.pathname);
	if (found === null) {
		throw new Refusal(404, 'notFound', 'Not Found');
	}
	const [before, bucket] = [found[1], decodeURIComponent(found[2])];
	const name = found[3] === undefined ? undefined : decodeURIComponent(found[3]);
	const hasObjects = /\/o(\/|$)/.test(url.pathname);
	if (req.method === 'POST' && before === '/upload' && hasObjects && name === undefined) {
		await upload(req, res, bucket, query);
	} else if (before === '/upload') {
		throw new Refusal(405, 'methodNotAllowed', 'Method Not Allowed');
	} else if (req.method === 'GET' && !hasObjects) {
		objectsOf(bucket);
		sendJson(res, 200, { kind: 'storage#bucket', id: bucket, name: bucket, storageClass: 'STANDARD' });
	} else if (req.method === 'GET' && name === undefined) {
		listObjects(res, bucket, query);
	} else if (req.method === 'GET') {
		readObject(req, res, bucket, name, query);
	} else if (req.method === 'DELETE' && name !== undefined) {
		removeObject(res, bucket, name, query);
	} else if (req.method === 'PATCH' && name !== undefined) {
		await patchObject(req, res, bucket, name, query);
	} else {
		throw new Refusal(405, 'methodNotAllowed', 'Method Not Allowed');
	}
}

async function handle(req, res) {
	try {
		await answer(req, res);
	} catch (e) {
		req.resume(); // a body that nobody read must not stall the connection
		if (res.headersSent) {
			res.destroy();
		} else if (e instanceof Refusal) {
			sendRefusal(res, e);
		} else {
			console.error(e);
			sendRefusal(res, new Refusal(500, 'internalError', 'Internal Error'));
		}
	}
}

const server = args.cert
	? https.createServer({ cert: fs.readFileSync(args.cert), key: fs.readFileSync(args.key) }, handle)
	: http.createServer(handle);
server.listen(Number(args.port), '127.0.0.1', () => {
	console.log(server.address().port);
});
for (const signal of ['SIGTERM', 'SIGINT']) {
	process.on(signal, () => process.exit(0));
}
