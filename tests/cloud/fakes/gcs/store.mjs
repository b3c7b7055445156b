// The objects of the fake: names, properties, conditions, lists, what is read and what is removed.
import crypto from 'node:crypto';
import zlib from 'node:zlib';

const BODY_MAX = 256 << 20;
const PROPERTIES = [
	'name', 'cacheControl', 'contentType', 'contentEncoding', 'contentLanguage', 'contentDisposition',
	'storageClass', 'customTime', 'metadata', 'crc32c', 'md5Hash',
];
const FIELDS = [
	...PROPERTIES, 'kind', 'id', 'bucket', 'generation', 'metageneration', 'size', 'etag', 'timeCreated',
	'updated', 'items', 'prefixes', 'nextPageToken', 'selfLink', 'mediaLink',
];
export const buckets = new Map();

const crcTable = Uint32Array.from({ length: 256 }, (_, i) => {
	let c = i;
	for (let bit = 0; bit < 8; bit++) {
		c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
	}
	return c >>> 0;
});

export function crc32c(data) {
	let crc = 0xffffffff;
	for (const byte of data) {
		crc = crcTable[(crc ^ byte) & 0xff] ^ (crc >>> 8);
	}
	const out = Buffer.alloc(4);
	out.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
	return out.toString('base64');
}

export const md5 = (data) => crypto.createHash('md5').update(data).digest('base64');
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

let lastGeneration = 0n;
function newGeneration() {
	const now = BigInt(Date.now()) * 1000n;
	lastGeneration = now > lastGeneration ? now : lastGeneration + 1n;
	return lastGeneration.toString();
}

export class Refusal extends Error {
	// word: of the newer APIs, "PERMISSION_DENIED".
	constructor(status, reason, message, headers = {}, word = undefined) {
		super(message);
		Object.assign(this, { status, reason, headers, word });
	}
}

export const invalid = (message) => new Refusal(400, 'invalid', message);
const notMet = () =>
	new Refusal(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
const noObject = (bucket, name) => new Refusal(404, 'notFound', `No such object: ${bucket}/${name}`);

export function sendJson(res, status, value, headers = {}) {
	const body = Buffer.from(JSON.stringify(value));
	res.writeHead(status, {
		'content-type': 'application/json; charset=UTF-8',
		'content-length': body.length,
		'cache-control': 'private, max-age=0, must-revalidate, no-transform',
		...headers,
	});
	res.end(body);
}

export function sendRefusal(res, e) {
	const { status: code, reason, message, word: status } = e;
	sendJson(res, code, { error: { code, message, errors: [{ message, domain: 'global', reason }], status } }, e.headers);
}

export async function bodyOf(req) {
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

// --- objects ---

export function checkName(name) {
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
export function checkConditions(query, object) {
	const generation = object?.generation ?? '0', meta = object?.metageneration ?? '0';
	const must = [generationOf(query, 'ifGenerationMatch'), generationOf(query, 'ifMetagenerationMatch')];
	const not = [generationOf(query, 'ifGenerationNotMatch'), generationOf(query, 'ifMetagenerationNotMatch')];
	if ((must[0] !== null && must[0] !== generation) || (must[1] !== null && must[1] !== meta)) {
		throw notMet();
	}
	return (not[0] !== null && not[0] === generation) || (not[1] !== null && not[1] === meta);
}

export function resourceOf(bucket, o) {
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

export function checkProperties(props) {
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

export function store(bucket, query, props, data) {
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

export function objectsOf(bucket) {
	if (!buckets.has(bucket)) {
		throw new Refusal(404, 'notFound', 'The specified bucket does not exist.');
	}
	return buckets.get(bucket);
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

export function selected(value, query) {
	const fields = query.get('fields');
	return fields === null ? value : pick(value, parseFields(fields));
}

// --- list, read, remove ---

export function listObjects(res, bucket, query) {
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

export function readObject(req, res, bucket, name, query) {
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

export function removeObject(res, bucket, name, query) {
	const objects = objectsOf(bucket);
	if (!objects.has(name)) {
		throw noObject(bucket, name);
	}
	checkConditions(query, objects.get(name));
	objects.delete(name);
	res.writeHead(204);
	res.end();
}

export async function patchObject(req, res, bucket, name, query) {
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


export async function rewriteObject(req, res, bucket, name, toBucket, toName, query) {
	const change = JSON.parse((await bodyOf(req)).toString() || '{}');
	const object = objectsOf(bucket).get(name);
	if (object === undefined) {
		throw noObject(bucket, name);
	}
	const resource = store(toBucket, query, { ...object.props, ...change, name: toName }, object.data);
	const size = resource.size;
	sendJson(res, 200, { kind: 'storage#rewriteResponse', done: true, objectSize: size, totalBytesRewritten: size, resource });
}
