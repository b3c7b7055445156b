// The fake is a judge: this shows that it refuses what it must. node --test gcs_test.mjs
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'difusor-gcs.'));
const { privateKey, publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const SUBJECT = 'subject.token';
let server, base, auth, metadata;

before(async () => {
	const pem = path.join(folder, 'sa.pub.pem');
	fs.writeFileSync(pem, publicKey.export({ type: 'spki', format: 'pem' }));
	server = spawn(process.execPath, [
		path.join(here, 'gcs.mjs'), '--public-key', pem, '--issuer', 'me@p', '--bucket', 'b1x', '--client', 'id:secret',
		'--refresh-token', 'refresh', '--audience', 'pool', '--subject-token', SUBJECT, '--metadata-port', '0',
	], { stdio: ['ignore', 'pipe', 'inherit'] });
	const [port, beside] = await new Promise((resolve, reject) => {
		server.stdout.once('data', (lines) => resolve(String(lines).trim().split('\n')));
		server.once('exit', () => reject(new Error('the fake ended')));
	});
	base = `http://127.0.0.1:${port}`;
	metadata = `http://127.0.0.1:${beside}`;
	const { status, body } = await token({});
	assert.equal(status, 200);
	auth = { authorization: `Bearer ${body.access_token}` };
});

after(() => {
	server.kill();
	fs.rmSync(folder, { recursive: true });
});

async function token(claims, key = privateKey, header = { alg: 'RS256', typ: 'JWT' }) {
	const now = Math.floor(Date.now() / 1000);
	const all = {
		iss: 'me@p', scope: 'https://www.googleapis.com/auth/devstorage.read_write', aud: `${base}/token`,
		iat: now, exp: now + 3600, ...claims,
	};
	const input = [header, all].map((o) => Buffer.from(JSON.stringify(o)).toString('base64url')).join('.');
	const mark = crypto.sign('RSA-SHA256', Buffer.from(input), key).toString('base64url');
	const r = await fetch(`${base}/token`, {
		method: 'POST',
		body: new URLSearchParams({ grant_type: GRANT, assertion: `${input}.${mark}` }),
	});
	return { status: r.status, body: await r.json() };
}

async function ask(method, where, { query = '', headers = auth, body } = {}) {
	const r = await fetch(`${base}${where}${query}`, { method, headers, body });
	const text = await r.text();
	let json;
	try {
		json = JSON.parse(text);
	} catch {
		json = null;
	}
	return { status: r.status, text, json, headers: r.headers };
}

const at = (name) => `/storage/v1/b/b1x/o${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;

function put(props, data, query = '', ends = '\r\n--zz--\r\n') {
	const head = `--zz\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(props)}\r\n--zz\r\n` +
		'Content-Type: text/plain\r\n\r\n';
	return ask('POST', `/upload${at()}`, {
		query: `?uploadType=multipart${query}`,
		headers: { ...auth, 'content-type': 'multipart/related; boundary=zz' },
		body: Buffer.concat([Buffer.from(head), Buffer.from(data), Buffer.from(ends)]),
	});
}

test('assertions', async () => {
	const now = Math.floor(Date.now() / 1000);
	const other = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
	const bad = [
		token({ iss: 'you@p' }), token({ aud: 'https://oauth2.googleapis.com/token' }), token({ iat: now, exp: now + 3601 }),
		token({ iat: now - 7200, exp: now - 3600 }), token({ iat: now + 3000, exp: now + 3600 }),
		token({ scope: 'https://www.googleapis.com/auth/compute' }), token({}, other),
		token({}, privateKey, { alg: 'none', typ: 'JWT' }),
	];
	for (const { status, body } of await Promise.all(bad)) {
		assert.equal(status, 400);
		assert.equal(body.error, 'invalid_grant');
	}
});

test('tokens', async () => {
	for (const headers of [{}, { authorization: 'Bearer x' }]) {
		assert.equal((await ask('GET', at(), { headers })).status, 401);
	}
});

test('digests', async () => {
	const good = await put({ name: 'd', crc32c: 'yZRlqg==', md5Hash: 'XrY7u+Ae7tCTyyK7j1rNww==' }, 'hello world');
	assert.equal(good.status, 200);
	for (const digest of [{ crc32c: 'yZRlqw==' }, { md5Hash: 'XrY7u+Ae7tCTyyK7j1rNwg==' }]) {
		const bad = await put({ name: 'd', ...digest }, 'hello world');
		assert.equal(bad.status, 400);
		assert.match(bad.json.error.message, /doesn't match calculated/);
	}
	const kept = await ask('GET', at('d'));
	assert.equal(kept.json.generation, good.json.generation);
});

test('generations', async () => {
	const first = await put({ name: 'g' }, 'one', '&ifGenerationMatch=0');
	assert.equal((await put({ name: 'g' }, 'two', '&ifGenerationMatch=0')).status, 412);
	const second = await put({ name: 'g' }, 'two', `&ifGenerationMatch=${first.json.generation}`);
	assert.equal(second.status, 200);
	assert.ok(BigInt(second.json.generation) > BigInt(first.json.generation));
	const stale = `?ifGenerationMatch=${first.json.generation}`;
	const lost = await put({ name: 'g' }, 'three', stale.replace('?', '&'));
	assert.equal(lost.status, 412);
	assert.equal(lost.json.error.errors[0].reason, 'conditionNotMet');
	assert.equal((await ask('GET', at('g'), { query: stale })).status, 412);
	assert.equal((await ask('DELETE', at('g'), { query: stale })).status, 412);
	const same = `?ifGenerationNotMatch=${second.json.generation}`;
	assert.equal((await ask('GET', at('g'), { query: same })).status, 304);
	assert.equal((await ask('DELETE', at('g'))).status, 204);
	assert.equal((await ask('DELETE', at('g'))).status, 404);
});

test('multipart bodies', async () => {
	assert.equal((await put({ name: 'm' }, 'x', '', '\r\n')).status, 400);
	assert.equal((await put({ name: 'm' }, 'x', '', '\n--zz--\n')).status, 400);
	assert.equal((await put({ name: 'm', metadata: { order: 7 } }, 'x')).status, 400);
	assert.equal((await put({ name: 'm', colour: 'red' }, 'x')).status, 400);
	assert.equal((await put({}, 'x')).status, 400);
	assert.equal((await ask('GET', at('m'))).status, 404);
});

test('what is stored comes back', async () => {
	const metadata = { order: '7', sha256: 'ab' };
	await put({ name: 'k/ñ', cacheControl: 'no-store', contentType: 'text/csv', metadata }, 'a,b');
	const { json } = await ask('GET', at('k/ñ'));
	assert.deepEqual(json.metadata, metadata);
	assert.equal(json.cacheControl, 'no-store');
	assert.equal(json.contentType, 'text/csv');
	const part = await ask('GET', at('k/ñ'), { query: '?alt=media', headers: { ...auth, range: 'bytes=1-' } });
	assert.equal(part.status, 206);
	assert.equal(part.text, ',b');
	assert.equal(part.headers.get('content-range'), 'bytes 1-2/3');
	assert.equal(part.headers.get('x-goog-meta-order'), '7');
});

test('gzip is inflated for those who do not take it', async () => {
	await put({ name: 'z', contentEncoding: 'gzip' }, zlib.gzipSync('hello'));
	const plain = await ask('GET', at('z'), {
		query: '?alt=media', headers: { ...auth, 'accept-encoding': 'identity' },
	});
	assert.equal(plain.text, 'hello');
	assert.equal(plain.headers.get('content-encoding'), null);
	const packed = await ask('GET', at('z'), { query: '?alt=media', headers: { ...auth, 'accept-encoding': 'gzip' } });
	assert.equal(packed.headers.get('content-encoding'), 'gzip');
});

test('lists page in byte order and take fields at their word', async () => {
	const names = ['l/a', 'l/a-b', 'l/a/b', 'l/b'];
	for (const name of [...names].reverse()) {
		await put({ name }, 'x');
	}
	const seen = [];
	let page = '';
	do {
		const query = `?prefix=l/&maxResults=3&fields=nextPageToken,items(name)${page}`;
		const { json } = await ask('GET', at(), { query });
		seen.push(...json.items.map((o) => Object.keys(o).join() + o.name));
		page = json.nextPageToken && `&pageToken=${json.nextPageToken}`;
	} while (page);
	assert.deepEqual(seen, ['namel/a', 'namel/a-b', 'namel/a/b', 'namel/b']);
	assert.equal((await ask('GET', at(), { query: '?fields=items(nme)' })).status, 400);
	assert.equal((await ask('GET', '/storage/v1/b/other/o')).status, 404);
});

// --- other ways in ---

async function form(where, fields) {
	const r = await fetch(`${base}${where}`, { method: 'POST', body: new URLSearchParams(fields) });
	return { status: r.status, json: await r.json() };
}

const opens = async (bearer) => (await ask('GET', at(), { headers: { authorization: `Bearer ${bearer}` } })).status;

test('a user', async () => {
	const good = { grant_type: 'refresh_token', client_id: 'id', client_secret: 'secret', refresh_token: 'refresh' };
	const { status, json } = await form('/token', good);
	assert.equal(status, 200);
	assert.equal(await opens(json.access_token), 200);
	assert.equal((await form('/token', { ...good, client_secret: 'x' })).json.error, 'invalid_client');
	assert.equal((await form('/token', { ...good, refresh_token: 'x' })).json.error, 'invalid_grant');
	assert.equal((await form('/token', { ...good, grant_type: 'password' })).json.error, 'unsupported_grant_type');
});

test('federation and impersonation', async () => {
	const good = {
		grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', audience: 'pool', subject_token: SUBJECT,
		requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
		subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', scope: 'https://www.googleapis.com/auth/iam',
	};
	for (const name of Object.keys(good)) {
		const { status } = await form('/v1/token', { ...good, [name]: 'x' });
		assert.equal(status, 400, name);
	}
	const first = (await form('/v1/token', good)).json.access_token;
	assert.equal(await opens(first), 403); // of a scope that is not storage's
	const as = (email, body, bearer = first) => ask('POST', `/v1/projects/-/serviceAccounts/${email}:generateAccessToken`, {
		headers: { authorization: `Bearer ${bearer}` }, body: JSON.stringify(body) });
	const scope = ['https://www.googleapis.com/auth/devstorage.read_write'];
	const second = await as('me@p', { scope, lifetime: '600s' });
	assert.equal(second.status, 200);
	assert.ok(Date.parse(second.json.expireTime) > Date.now());
	assert.equal(await opens(second.json.accessToken), 200);
	assert.equal((await as('you@p', { scope, lifetime: '600s' })).json.error.status, 'PERMISSION_DENIED');
	assert.equal((await as('me@p', { scope, lifetime: '7200s' })).status, 400);
	assert.equal((await as('me@p', { scope: [], lifetime: '60s' })).status, 400);
	assert.equal((await as('me@p', { scope, lifetime: '60s' }, second.json.accessToken)).status, 403);
});

test('the metadata server wants its header and shows it', async () => {
	const url = `${metadata}/computeMetadata/v1/instance/service-accounts/default/token`;
	assert.equal((await fetch(url)).status, 403);
	assert.equal((await fetch(url, { headers: { 'metadata-flavor': 'Google', 'x-forwarded-for': '1.2.3.4' } })).status, 403);
	const r = await fetch(url, { headers: { 'metadata-flavor': 'Google' } });
	assert.equal(r.headers.get('metadata-flavor'), 'Google');
	assert.equal(await opens((await r.json()).access_token), 200);
});

// --- sessions ---

const ALIGN = 256 << 10;

async function begin(props, query = '', more = {}) {
	return ask('POST', `/upload${at()}`, { query: `?uploadType=resumable${query}`, body: JSON.stringify(props),
		headers: { ...auth, 'content-type': 'application/json', ...more } });
}

// Without a token: the address is the permission.
async function chunk(session, range, data = '', method = 'PUT') {
	const r = await fetch(session, { method, headers: { 'content-range': `bytes ${range}` }, body: data.length > 0 ? data : undefined });
	const text = await r.text();
	return { status: r.status, range: r.headers.get('range'), json: r.status === 200 ? JSON.parse(text) : null };
}

test('a session takes chunks in order and in multiples', async () => {
	const data = crypto.randomBytes(2 * ALIGN + 7), total = data.length;
	const begun = await begin({ name: 's', metadata: { order: '7' } }, '&fields=generation,size',
		{ 'x-upload-content-length': String(total) });
	const session = begun.headers.get('location');
	assert.ok(session.startsWith(base));
	assert.equal((await chunk(session, `*/${total}`)).range, null);
	assert.equal((await chunk(session, `0-99/${total}`, data.subarray(0, 100))).status, 400); // no multiple
	assert.equal((await chunk(session, `0-100/${total}`, data.subarray(0, 100))).status, 400); // says another length
	assert.equal((await chunk(session, `${ALIGN}-${2 * ALIGN - 1}/${total}`, data.subarray(ALIGN, 2 * ALIGN))).status, 400); // a gap
	assert.equal((await chunk(session, `0-${ALIGN - 1}/${total + 1}`, data.subarray(0, ALIGN))).status, 400); // another total
	let told = await chunk(session, `0-${ALIGN - 1}/${total}`, data.subarray(0, ALIGN));
	assert.deepEqual([told.status, told.range], [308, `bytes=0-${ALIGN - 1}`]);
	told = await chunk(session, `0-${2 * ALIGN - 1}/${total}`, data.subarray(0, 2 * ALIGN)); // some of it again
	assert.deepEqual([told.status, told.range], [308, `bytes=0-${2 * ALIGN - 1}`]);
	assert.equal((await ask('GET', at('s'))).status, 404);
	told = await chunk(session, `${2 * ALIGN}-${total - 1}/${total}`, data.subarray(2 * ALIGN));
	assert.deepEqual(Object.keys(told.json).sort(), ['generation', 'size']);
	assert.equal((await chunk(session, `*/${total}`)).json.generation, told.json.generation);
	const kept = await fetch(`${base}${at('s')}?alt=media`, { headers: auth });
	assert.ok(Buffer.from(await kept.arrayBuffer()).equals(data));
	assert.equal(kept.headers.get('x-goog-meta-order'), '7');
});

test('a session keeps conditions and digests', async () => {
	const session = (await begin({ name: 'sc', crc32c: 'yZRlqg==' }, '&ifGenerationMatch=0')).headers.get('location');
	const second = (await begin({ name: 'sc', crc32c: 'AAAAAA==' }, '&ifGenerationMatch=0')).headers.get('location');
	assert.equal((await chunk(second, '0-10/11', 'hello world')).status, 400);
	assert.equal((await chunk(second, '*/11')).status, 410);
	await put({ name: 'sc' }, 'somebody else');
	assert.equal((await chunk(session, '0-10/11', 'hello world')).status, 412);
	assert.equal((await begin({ name: 'sc' }, '&ifGenerationMatch=0')).status, 412);
	assert.equal((await begin({})).status, 400);
	assert.equal((await begin({ name: 'sc', colour: 'red' })).status, 400);
});

test('a session that was canceled, or never was, is gone', async () => {
	const session = (await begin({ name: 'sx' })).headers.get('location');
	assert.equal((await chunk(session, '*/9', undefined, 'DELETE')).status, 499);
	assert.equal((await chunk(session, '*/9')).status, 410);
	assert.equal((await chunk(session.replace(/.{9}$/, 'AAAAAAAAA'), '*/9')).status, 404);
});

// --- batches ---

const batchOf = (calls) => calls.map((call, i) =>
	`--bb\r\nContent-Type: application/http\r\nContent-ID: <c+${i}>\r\n\r\n${call}\r\n\r\n`).join('') + '--bb--\r\n';
const sendBatch = (calls, type = 'multipart/mixed; boundary=bb') =>
	ask('POST', '/batch/storage/v1', { headers: { ...auth, 'content-type': type }, body: batchOf(calls) });

test('a batch answers each call', async () => {
	const { json } = await put({ name: 'b/1' }, 'x');
	await put({ name: 'b/2' }, 'x');
	const r = await sendBatch([`DELETE ${at('b/1')}?ifGenerationMatch=${json.generation} HTTP/1.1`,
		`DELETE ${at('b/2')}?ifGenerationMatch=1 HTTP/1.1`, `DELETE ${at('b/3')} HTTP/1.1`,
		`GET ${at('b/2')}?alt=media HTTP/1.1`]);
	assert.equal(r.status, 200);
	assert.deepEqual([...r.text.matchAll(/<response-c\+(\d)>\s+HTTP\/1.1 (\d+)/g)].map((m) => `${m[1]} ${m[2]}`),
		['0 204', '1 412', '2 404', '3 400']);
	assert.equal((await ask('GET', at('b/1'))).status, 404);
	assert.equal((await ask('GET', at('b/2'))).status, 200);
});

test('a batch has bounds', async () => {
	const call = `GET ${at('none')} HTTP/1.1`;
	assert.equal((await sendBatch(Array(100).fill(call))).status, 200);
	assert.equal((await sendBatch(Array(101).fill(call))).status, 400);
	assert.equal((await sendBatch([call], 'multipart/mixed')).status, 400);
	assert.equal((await sendBatch(['no request'])).status, 400);
});

// --- faults ---

const faults = (...rules) => fetch(`${base}/faults`, { method: 'POST', body: JSON.stringify(rules) });

test('faults strike as often as they are told to', async () => {
	await put({ name: 'f' }, 'x');
	await faults({ method: 'GET', path: '/o/f', status: 503, retryAfter: 2, times: 2 });
	for (const status of [503, 503, 200]) {
		const r = await ask('GET', at('f'));
		assert.equal(r.status, status);
		assert.equal(r.headers.get('retry-after'), status === 503 ? '2' : null);
	}
	await faults({ method: 'DELETE', what: 'lost' });
	await assert.rejects(ask('DELETE', at('f')));
	assert.equal((await ask('GET', at('f'))).status, 404); // it was done
	const session = (await begin({ name: 'f' })).headers.get('location');
	await faults({ method: 'PUT', what: 'short', keep: ALIGN + 5 });
	const told = await chunk(session, `0-${2 * ALIGN - 1}/${2 * ALIGN}`, Buffer.alloc(2 * ALIGN));
	assert.deepEqual([told.status, told.range], [308, `bytes=0-${ALIGN - 1}`]);
	await faults({ method: 'PUT', what: 'gone' });
	assert.equal((await chunk(session, `*/${2 * ALIGN}`)).status, 410);
	await faults({ what: 'forget' });
	assert.equal((await ask('GET', at('f'))).status, 401);
	auth = { authorization: `Bearer ${(await token({})).body.access_token}` };
	assert.equal((await ask('GET', at('f'))).status, 404);
});
