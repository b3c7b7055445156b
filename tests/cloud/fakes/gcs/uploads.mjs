// How objects come in: in one request, or by a resumable session.
import crypto from 'node:crypto';
import { Refusal, bodyOf, checkConditions, checkName, checkProperties, invalid, objectsOf, selected, sendJson, store } from './store.mjs';

const ALIGN = 256 << 10;
const SESSION_LIFE_MS = 7 * 86400 * 1000;
const sessions = new Map(); // upload_id -> session; what has ended stays as {ended}

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

function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		throw new Refusal(400, 'parseError', 'Parse Error');
	}
}

function inOne(req, bucket, query, body) {
	const type = req.headers['content-type'] ?? '';
	if (query.get('uploadType') === 'media') {
		const props = { name: query.get('name'), contentType: type || 'application/octet-stream' };
		if (query.get('contentEncoding') !== null) {
			props.contentEncoding = query.get('contentEncoding');
		}
		return store(bucket, query, props, body);
	}
	const [properties, media] = splitParts(type, body);
	if (!/^application\/json(;|$)/i.test(partType(properties) ?? '')) {
		throw invalid('The first part must be application/json.');
	}
	const props = parsed(properties.data);
	props.name ??= query.get('name') ?? undefined;
	props.contentType ??= partType(media) ?? 'application/octet-stream';
	return store(bucket, query, props, Buffer.from(media.data));
}

// base: of us, as the client names us.
export async function upload(req, res, base, bucket, query) {
	const body = await bodyOf(req);
	const kind = query.get('uploadType');
	objectsOf(bucket);
	if (kind === 'resumable') {
		begin(req, res, base, bucket, query, body);
	} else if (kind === 'media' || kind === 'multipart') {
		sendJson(res, 200, selected(inOne(req, bucket, query, body), query));
	} else {
		throw invalid(`Upload type '${kind}' is not known here.`);
	}
}

// --- sessions ---

function begin(req, res, base, bucket, query, body) {
	const props = body.length === 0 ? {} : parsed(body);
	if (body.length > 0 && !/^application\/json(;|$)/i.test(req.headers['content-type'] ?? '')) {
		throw invalid('Properties must be application/json.');
	}
	props.name ??= query.get('name') ?? undefined;
	props.contentType ??= req.headers['x-upload-content-type'] ?? 'application/octet-stream';
	checkProperties(props);
	checkName(props.name);
	checkConditions(query, objectsOf(bucket).get(props.name));
	const told = req.headers['x-upload-content-length'];
	if (told !== undefined && !/^\d+$/.test(told)) {
		throw invalid('Invalid value for X-Upload-Content-Length.');
	}
	const id = crypto.randomBytes(96).toString('base64url');
	const total = told === undefined ? null : Number(told);
	sessions.set(id, { bucket, query, props, total, data: [], size: 0, end: Date.now() + SESSION_LIFE_MS });
	const location = `${base}/upload/storage/v1/b/${encodeURIComponent(bucket)}/o?uploadType=resumable&upload_id=${id}`;
	res.writeHead(200, { location, 'x-guploader-uploadid': id, 'content-length': 0 }).end();
}

function sessionOf(id) {
	const session = sessions.get(id);
	if (session === undefined) {
		throw new Refusal(404, 'notFound', 'Not Found');
	}
	if (session.end < Date.now()) {
		sessions.set(id, { ended: 410 });
	}
	if (sessions.get(id).ended !== undefined) {
		throw new Refusal(410, 'gone', 'The upload session has ended.');
	}
	return session;
}

// {first, last (null: all that comes), total (null: not told yet)}; first null: nothing but a question.
function rangeOf(req) {
	const range = req.headers['content-range'];
	if (range === undefined) {
		return { first: 0, last: null, total: Number(req.headers['content-length'] ?? NaN) };
	}
	const found = /^bytes (?:\*|(\d+)-(\d+|\*))\/(\d+|\*)$/.exec(range);
	if (found === null) {
		throw invalid(`Failed to parse Content-Range header: ${range}`);
	}
	const [first, last, total] = found.slice(1).map((n) => (n === undefined || n === '*' ? null : Number(n)));
	return { first, last, total };
}

function take(session, body, { first, last, total }, keep) {
	if (first > session.size) {
		throw invalid(`The chunk begins at ${first}, but ${session.size} bytes are kept.`);
	}
	if (last !== null && last - first + 1 !== body.length) {
		throw invalid(`There were ${body.length} byte(s) in the request body. There should have been ${last - first + 1}.`);
	}
	const ends = last === null || (total !== null && last + 1 === total);
	if (!ends && body.length % ALIGN !== 0) {
		throw invalid(`A chunk that is not the last must be a multiple of ${ALIGN} bytes, not ${body.length}.`);
	}
	const fresh = body.subarray(session.size - first); // what is kept already is not looked at
	const some = keep === undefined ? fresh : fresh.subarray(0, Math.floor(keep / ALIGN) * ALIGN);
	session.data.push(Buffer.from(some));
	session.size += some.length;
	return ends && some.length === fresh.length;
}

// One request of a session. keep: a fault: of this chunk no more than so many bytes are kept.
export async function proceed(req, res, id, keep) {
	const body = await bodyOf(req);
	const session = sessionOf(id);
	if (req.method === 'DELETE') {
		sessions.set(id, { ended: 499 });
		res.writeHead(499, { 'content-length': 0 }).end();
		return;
	}
	if (session.resource !== undefined) {
		sendJson(res, 200, session.resource);
		return;
	}
	const range = rangeOf(req);
	if (range.total !== null && (session.total ?? range.total) !== range.total) {
		throw invalid(`The total is ${session.total}, not ${range.total}.`);
	}
	session.total = range.total ?? session.total;
	let whole = range.first === null && range.total !== null && session.size === range.total;
	if (range.first === null && body.length > 0) {
		throw invalid('A question has no body.');
	}
	if (range.first !== null) {
		whole = take(session, body, range, keep);
	}
	if (!whole) {
		const kept = session.size > 0 ? { range: `bytes=0-${session.size - 1}` } : {};
		res.writeHead(308, { ...kept, 'x-guploader-uploadid': id, 'content-length': 0 }).end();
		return;
	}
	if (session.total !== null && session.size !== session.total) {
		throw invalid(`The upload has ${session.size} bytes, not ${session.total}.`);
	}
	try {
		const resource = store(session.bucket, session.query, session.props, Buffer.concat(session.data));
		session.resource = selected(resource, session.query);
	} catch (e) {
		sessions.set(id, { ended: 410 });
		throw e;
	}
	session.data = [];
	sendJson(res, 200, session.resource);
}

// An operator's hand: every session so far has ended.
export function endSessions() {
	for (const id of sessions.keys()) {
		sessions.set(id, { ended: 410 });
	}
}
