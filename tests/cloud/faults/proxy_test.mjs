// The proxy is a judge of others, so it is judged first: every fault does what its name says, and without rules nothing happens.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, test } from 'node:test';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proxy-'));
const file = (name) => path.join(folder, name);
const applied = []; // what the server has seen: "METHOD BODY"
let server, child, told;

before(async () => {
	execFileSync(path.join(here, '../servers/ca'), [folder], { stdio: 'ignore' });
	server = https.createServer({ cert: fs.readFileSync(file('srv.pem')), key: fs.readFileSync(file('srv.key')) }, async (req, res) => {
		const parts = [];
		for await (const part of req) {
			parts.push(part);
		}
		applied.push(`${req.method} ${Buffer.concat(parts)}`);
		res.writeHead(200, { etag: '"abc1"', 'x-host': req.headers.host });
		res.end('the answer of the server behind');
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	child = spawn('node', [path.join(here, 'proxy.mjs'), `--lane=a=${server.address().port}=s3`, '--cert', file('srv.pem'),
		'--key', file('srv.key'), '--ca', file('ca.pem')], { stdio: ['ignore', 'pipe', 'inherit'] });
	for await (const line of readline.createInterface({ input: child.stdout })) {
		told = JSON.parse(line);
		break;
	}
});
after(() => {
	child.kill();
	server.closeAllConnections();
	server.close();
	fs.rmSync(folder, { recursive: true });
});

async function rules(...list) {
	const r = await fetch(`http://127.0.0.1:${told.control}/a`, { method: 'POST', body: JSON.stringify(list) });
	assert.equal(r.status, 200);
}

const counts = async () => (await (await fetch(`http://127.0.0.1:${told.control}/`)).json()).a;

// One request on a connection of its own; rejects where no whole answer comes.
function ask(method = 'PUT', body = 'bytes') {
	return new Promise((resolve, reject) => {
		const req = https.request({ host: '127.0.0.1', port: told.lanes.a, ca: fs.readFileSync(file('ca.pem')), method, agent: false,
			headers: { 'content-length': body.length, host: 'a.example' }, servername: '', timeout: 400 });
		req.on('response', (res) => {
			const parts = [];
			res.on('data', (d) => parts.push(d));
			res.on('error', reject);
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(parts).toString() }));
		});
		req.on('timeout', () => req.destroy(new Error('no byte')));
		req.on('error', reject);
		req.end(body);
	});
}

test('without rules everything passes', async () => {
	await rules();
	const a = await ask();
	assert.deepEqual([a.status, a.text, a.headers['x-host']], [200, 'the answer of the server behind', 'a.example']);
	await rules({ fault: 'status', status: 500, method: 'GET' });
	assert.equal((await ask()).headers['x-host'], 'a.example'); // TLS ended in the proxy, nothing struck
});

for (const [name, rule] of [
	['away', { fault: 'away' }], ['refuse', { fault: 'refuse' }], ['cut', { fault: 'cut', dir: 'down', after: 20 }],
	['rst', { fault: 'rst', dir: 'up', after: 20 }], ['stall', { fault: 'stall', dir: 'down', after: 0 }],
	['corrupt', { fault: 'corrupt', dir: 'down', after: 900 }], ['truncate', { fault: 'truncate', after: 30 }],
]) {
	test(`${name}: no answer comes, and the server lives on`, async () => {
		await rules(rule);
		await assert.rejects(ask());
		assert.equal((await counts())[name], 1);
		await rules();
		assert.equal((await ask()).status, 200);
	});
}

test('lost and late are applied, though no answer comes', async () => {
	for (const rule of [{ fault: 'lost' }, { fault: 'late', ms: 50 }]) {
		await rules(rule);
		const n = applied.length;
		await assert.rejects(ask('PUT', rule.fault));
		while (applied.length === n) {
			await new Promise((resolve) => setTimeout(resolve, 5));
		}
		assert.equal(applied.at(-1), `PUT ${rule.fault}`);
	}
});

test('twice is applied twice, absent never, and both are told as done', async () => {
	await rules({ fault: 'twice' });
	const n = applied.length;
	assert.equal((await ask()).status, 200);
	assert.equal(applied.length, n + 2);
	await rules({ fault: 'absent' });
	assert.equal((await ask()).status, 200);
	assert.equal(applied.length, n + 2);
});

test('answers: status, storm, liar, garbage, huge, drip', async () => {
	await rules({ fault: 'status', status: 503, retry_after: 7, times: 1 });
	const slow = await ask();
	assert.deepEqual([slow.status, slow.headers['retry-after']], [503, '7']);
	assert.match(slow.text, /SlowDown/);
	assert.equal((await ask()).status, 200); // it struck once
	await rules({ fault: 'storm', status: 503, ms: 60000, times: 1 });
	assert.deepEqual([(await ask()).status, (await ask()).status], [503, 503]);
	await rules({ fault: 'liar' });
	assert.notEqual((await ask()).headers.etag, '"abc1"');
	await rules({ fault: 'garbage' });
	assert.notEqual((await ask()).text, 'the answer of the server behind');
	await rules({ fault: 'huge', mb: 1 });
	assert.equal((await ask()).text.length, 1 << 20);
	await rules({ fault: 'drip', ms: 1 });
	assert.equal((await ask()).text, 'the answer of the server behind');
});

test('a chance strikes some; a wrong rule is refused', async () => {
	await rules({ fault: 'status', status: 500, p: .5 });
	const seen = [];
	for (let i = 0; i < 20; i++) {
		seen.push((await ask()).status);
	}
	assert.ok(seen.includes(500) && seen.includes(200));
	const r = await fetch(`http://127.0.0.1:${told.control}/a`, { method: 'POST', body: '[{"fault":"nonsense"}]' });
	assert.equal(r.status, 400);
});

test('at: that one is struck whatever chance says, and no other', async () => {
	await rules({ fault: 'status', status: 503, p: 0, at: 2 });
	const got = [];
	for (let i = 0; i < 4; i++) {
		got.push((await ask()).status);
	}
	assert.deepEqual(got, [200, 503, 200, 200]);
	await rules({ fault: 'cut', dir: 'down', after: [20, 1e9], p: 0, at: 1 });
	await assert.rejects(ask());
	assert.equal((await ask()).status, 200);
	await rules();
});
