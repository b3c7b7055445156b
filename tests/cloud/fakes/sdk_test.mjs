// The fake against Google's own client, unmodified: what the client sends is accepted, and what it is answered satisfies
// it, its validation of digests included. So the fake is no private dialect of ours.
//
//   STORE_INI=FILE CLOUD_CACHE=FOLDER NODE_EXTRA_CA_CERTS=ca.pem node --test sdk_test.mjs
//
// STORE_INI: the lines that servers/gcs prints. The client is installed into CLOUD_CACHE/gcs-sdk where it is not there.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import zlib from 'node:zlib';

const PACKAGE = '@google-cloud/storage', VERSION = '7.22.0';
const MIB = 1 << 20;
const ini = Object.fromEntries(fs.readFileSync(process.env.STORE_INI, 'utf8').split('\n')
	.map((line) => /^(\w+)\s*=\s*(.*)$/.exec(line)).filter(Boolean).map((m) => [m[1], m[2]]));
const folder = path.join(process.env.CLOUD_CACHE ?? path.join(os.homedir(), '.cache/difusor-cloud'), 'gcs-sdk');
const beside = (name) => path.join(path.dirname(ini.credentials), name);
let sdk, auth, bucket;

function install() {
	const installed = path.join(folder, 'node_modules', PACKAGE, 'package.json');
	if (!fs.existsSync(installed) || JSON.parse(fs.readFileSync(installed)).version !== VERSION) {
		fs.mkdirSync(folder, { recursive: true });
		execFileSync('npm', ['install', '--no-fund', '--no-audit', `${PACKAGE}@${VERSION}`], { cwd: folder, stdio: 'inherit' });
	}
	const require = createRequire(`${folder}/`);
	sdk = require(PACKAGE);
	auth = createRequire(require.resolve(PACKAGE))('google-auth-library');
}

const as = (authClient) => new sdk.Storage({
	apiEndpoint: ini.endpoint, projectId: 'difusor-test', useAuthWithCustomEndpoint: true, authClient,
	retryOptions: { maxRetries: 3, retryDelayMultiplier: 1, maxRetryDelay: 1,
		idempotencyStrategy: sdk.IdempotencyStrategy.RetryConditional },
}).bucket(ini.bucket);

// The client would sign for Google's own token server; the assertion is made here, the rest is its own.
async function serviceAccount() {
	const account = JSON.parse(fs.readFileSync(ini.credentials, 'utf8'));
	const now = Math.floor(Date.now() / 1000);
	const text = [{ alg: 'RS256', typ: 'JWT', kid: account.private_key_id }, { iss: account.client_email,
		scope: 'https://www.googleapis.com/auth/devstorage.full_control', aud: account.token_uri, iat: now, exp: now + 3600 }]
		.map((o) => Buffer.from(JSON.stringify(o)).toString('base64url')).join('.');
	const assertion = `${text}.${crypto.sign('RSA-SHA256', Buffer.from(text), account.private_key).toString('base64url')}`;
	const r = await fetch(account.token_uri, { method: 'POST', body: new URLSearchParams({
		grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }) });
	const client = new auth.OAuth2Client();
	client.setCredentials({ access_token: (await r.json()).access_token });
	return client;
}

async function faults(...rules) {
	const r = await fetch(`${ini.endpoint}/faults`, { method: 'POST', body: JSON.stringify(rules) });
	assert.equal(r.status, 200);
}

const fails = (code) => (e) => {
	assert.equal(e.response?.status ?? Number(e.code), code, e.message);
	return true;
};

before(async () => {
	install();
	const client = await serviceAccount();
	bucket = as(client);
	// At an endpoint that is not Google's a session of createWriteStream is begun without the client's token: it is
	// given by the door that the client has for such things.
	const { headers } = await client.getRequestMetadataAsync();
	bucket.storage.interceptors.push({ request: (o) => ({ ...o, headers: { ...o.headers, ...headers } }) });
});

test('a small object, in one request, comes back with its metadata', async () => {
	const file = bucket.file('sdk/a b ñ.json');
	for (const validation of ['crc32c', 'md5']) {
		await file.save('{"a":1}', { resumable: false, validation, contentType: 'application/json',
			metadata: { cacheControl: 'public, max-age=5', metadata: { order: '7' } } });
		assert.equal((await file.download({ validation }))[0].toString(), '{"a":1}');
	}
	const [metadata] = await file.getMetadata();
	assert.equal(metadata.contentType, 'application/json');
	assert.equal(metadata.cacheControl, 'public, max-age=5');
	assert.equal(metadata.metadata.order, '7');
	assert.equal(Number(metadata.size), 7);
	const [changed] = await file.setMetadata({ metadata: { order: '8' } });
	assert.equal(changed.metadata.order, '8');
	assert.equal(Number(changed.metageneration), 2);
	assert.deepEqual(await file.exists(), [true]);
	assert.deepEqual(await bucket.exists(), [true]);
});

for (const [how, chunkSize] of [['as one stream', undefined], ['in chunks', 256 << 10], ['in chunks that fit', MIB]]) {
	test(`a resumable upload, ${how}`, async () => {
		const data = crypto.randomBytes(chunkSize === MIB ? 3 * MIB : 3 * MIB + 11);
		const file = bucket.file(`sdk/resumable-${chunkSize}`);
		await file.save(data, { resumable: true, validation: 'crc32c', chunkSize, metadata: { contentType: 'text/csv' } });
		assert.ok((await file.download({ validation: 'crc32c' }))[0].equals(data));
		assert.equal((await file.getMetadata())[0].contentType, 'text/csv');
	});
}

test('a resumable upload goes on after 503, after a lost answer and after less was kept', async () => {
	const data = crypto.randomBytes(2 * MIB + 5);
	for (const [i, rule] of [{ status: 503 }, { what: 'lost' }, { what: 'short', keep: 300000 }].entries()) {
		const file = bucket.file(`sdk/interrupted-${i}`);
		await faults({ method: 'PUT', path: 'upload_id', ...rule });
		await file.save(data, { resumable: true, chunkSize: MIB, preconditionOpts: { ifGenerationMatch: 0 } });
		assert.ok((await file.download())[0].equals(data), JSON.stringify(rule));
	}
	await faults();
});

test('429 and 503 are waited for', async () => {
	const file = bucket.file('sdk/pressed');
	await faults({ method: 'POST', path: '/upload/', status: 429 }, { method: 'GET', path: 'pressed', status: 503 });
	await file.save('x', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
	assert.equal((await file.download())[0].toString(), 'x');
	await faults();
});

test('conditions on generations', async () => {
	const file = bucket.file('sdk/conditional');
	const put = (text, ifGenerationMatch, resumable = false) =>
		file.save(text, { resumable, preconditionOpts: { ifGenerationMatch } });
	await put('one', 0);
	for (const resumable of [false, true]) {
		await assert.rejects(put('two', 0, resumable), fails(412));
	}
	const { generation } = (await file.getMetadata())[0];
	await put('two', generation);
	await assert.rejects(put('three', generation), fails(412));
	await assert.rejects(file.delete({ ifGenerationMatch: generation }), fails(412));
	assert.equal((await file.download())[0].toString(), 'two');
	await file.delete({ ifGenerationMatch: (await file.getMetadata())[0].generation });
	await assert.rejects(file.delete(), fails(404));
	await file.delete({ ignoreNotFound: true });
});

test('a part, and gzip that is stored', async () => {
	const file = bucket.file('sdk/packed');
	await file.save('hello '.repeat(1000), { gzip: true, resumable: false });
	const [metadata] = await file.getMetadata();
	assert.equal(metadata.contentEncoding, 'gzip');
	assert.ok(Number(metadata.size) < 200);
	assert.equal((await file.download())[0].toString(), 'hello '.repeat(1000));
	const [raw] = await file.download({ decompress: false });
	assert.equal(zlib.gunzipSync(raw).toString(), 'hello '.repeat(1000));
	await bucket.file('sdk/plain').save('hello world', { resumable: false });
	assert.equal((await bucket.file('sdk/plain').download({ start: 6, end: 8 }))[0].toString(), 'wor');
});

test('bytes that are not the bytes are found by the client', async () => {
	const file = bucket.file('sdk/plain');
	const stream = file.createWriteStream({ resumable: false, validation: false, metadata: { crc32c: 'AAAAAA==' } });
	await assert.rejects(new Promise((resolve, reject) => {
		stream.on('error', reject).on('finish', resolve).end('hello world');
	}), fails(400));
	assert.equal((await file.download())[0].toString(), 'hello world');
});

test('lists by page, by prefix and by folder', async () => {
	const names = Array.from({ length: 25 }, (_, i) => `list/${i % 2 ? 'odd' : 'even'}/${String(i).padStart(2, '0')}`).sort();
	await Promise.all(names.map((name) => bucket.file(name).save(name, { resumable: false })));
	const seen = [];
	for (let query = { prefix: 'list/', maxResults: 7, autoPaginate: false }; query !== null;) {
		const [files, next] = await bucket.getFiles(query);
		assert.ok(files.length <= 7);
		seen.push(...files.map((f) => f.name));
		query = next;
	}
	assert.deepEqual(seen, names);
	assert.equal((await bucket.getFiles({ prefix: 'list/odd/' }))[0].length, 12);
	const [, , answer] = await bucket.getFiles({ prefix: 'list/', delimiter: '/', autoPaginate: false });
	assert.deepEqual(answer.prefixes, ['list/even/', 'list/odd/']);
	await bucket.deleteFiles({ prefix: 'list/' });
	assert.deepEqual((await bucket.getFiles({ prefix: 'list/' }))[0], []);
});

test('a copy and a move', async () => {
	await bucket.file('sdk/from').save('x', { resumable: false, metadata: { cacheControl: 'no-store' } });
	await bucket.file('sdk/from').copy(bucket.file('sdk/to'));
	assert.equal((await bucket.file('sdk/to').getMetadata())[0].cacheControl, 'no-store');
	await bucket.file('sdk/to').rename('sdk/renamed');
	assert.deepEqual(await bucket.file('sdk/to').exists(), [false]);
	assert.equal((await bucket.file('sdk/renamed').download())[0].toString(), 'x');
});

// --- the other ways in, by Google's own code ---

const read = async (client) => (await as(client).file('sdk/plain').download())[0].toString();

test('a user, impersonation, federation and the metadata server', async () => {
	const json = (name) => JSON.parse(fs.readFileSync(beside(name), 'utf8'));
	const user = json('user.json');
	const userClient = new auth.UserRefreshClient({ clientId: user.client_id, clientSecret: user.client_secret,
		refreshToken: user.refresh_token, endpoints: { oauth2TokenUrl: user.token_uri } });
	assert.equal(await read(userClient), 'hello world');
	for (const name of ['of_file.json', 'of_url.json']) {
		const client = auth.ExternalAccountClient.fromJSON({ ...json(name),
			scopes: ['https://www.googleapis.com/auth/devstorage.read_write'] });
		assert.equal(await read(client), 'hello world', name);
	}
	const impersonated = new auth.Impersonated({ sourceClient: userClient, lifetime: 600, endpoint: ini.endpoint,
		targetPrincipal: json('account.json').client_email,
		targetScopes: ['https://www.googleapis.com/auth/devstorage.read_write'] });
	assert.equal(await read(impersonated), 'hello world');
	process.env.GCE_METADATA_HOST = ini.metadata_host;
	assert.equal(await read(new auth.Compute({ scopes: ['https://www.googleapis.com/auth/devstorage.read_write'] })), 'hello world');
});

test('nobody else comes in', async () => {
	const client = new auth.OAuth2Client();
	client.setCredentials({ access_token: 'ya29.stranger' });
	await assert.rejects(read(client), fails(401));
});
