// A bad network and a bad server, in front of real servers on loopback.
//
//   node proxy.mjs --lane NAME=PORT[=KIND] ... --cert srv.pem --key srv.key --ca ca.pem [--seed N]
//
// Prints one line of JSON once it listens: {"control": PORT, "lanes": {NAME: PORT}}. A lane is a way to the server on
// 127.0.0.1:PORT; KIND (s3, azure, gcs) is the manner in which it tells errors. Control, by HTTP:
//
//   POST /NAME   a JSON array of rules; replaces the lane's rules, an empty one lifts every fault
//   POST /       the same for all lanes
//   GET  /       how often each fault struck: {NAME: {KIND: COUNT, "connections": N, "requests": N, "pending": N}};
//                pending: requests that are still to be applied
//
// A rule is {"fault": KIND, ...}. Common to all: p (chance of each connection or request, 1), times (strikes at most), at (the
// at-th of those that fit is struck whatever chance says, a wire's as early as its `after` permits).
//
// Faults of the wire; TLS passes untouched, bytes are counted as they are on the wire. dir is up or down, after a number of bytes
// or [least, most]:
//   away               nobody listens: connection refused       refuse         accepted and reset at once
//   delay ms           each piece comes later                   rate bps       bytes per second, each way
//   cut dir after      closed after so many bytes               rst dir after  reset after so many bytes
//   stall dir after    nothing passes any more                  corrupt dir after  one bit of that byte is turned
//
// Faults of the server; TLS ends here and begins anew, Host and all fields pass, so that signatures still hold. They may be
// confined by regular expressions: method, and object, which is sought in the URL and the beginning of the body.
//   status status [retry_after]  answered so, not passed on     storm status ms [retry_after]  all requests so, for a time
//   lost               applied, the connection closed without an answer
//   late ms            the connection closed at once, applied after ms
//   twice              sent twice, the second answer is told
//   truncate after     the answer breaks off                    drip ms        the answer comes byte by byte
//   liar               the answer tells other tags and digests  absent         success told, nothing done
//   garbage            the answer's body is noise               huge mb        the answer's body is huge
//   mix [of]           one of these kinds at random, or of all, each with its usual strength (MIX)
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import crypto from 'node:crypto';
import { parseArgs } from 'node:util';

const BODY_MAX = 64 << 20;
const WIRE = ['away', 'refuse', 'delay', 'rate', 'cut', 'rst', 'stall', 'corrupt'];
const SERVER = ['status', 'storm', 'lost', 'late', 'twice', 'truncate', 'drip', 'liar', 'absent', 'garbage', 'huge', 'mix'];
const MIX = {
	refuse: {}, delay: { ms: 40 }, cut: { dir: 'down', after: [500, 60000] }, rst: { dir: 'up', after: [500, 200000] },
	stall: { dir: 'down', after: [500, 60000] }, corrupt: { dir: 'up', after: [2000, 60000] }, rate: { bps: 300000 },
	status: { status: 500 }, busy: { fault: 'status', status: 503, retry_after: 1 }, many: { fault: 'status', status: 429 },
	storm: { status: 503, ms: 1500 }, lost: {}, late: { ms: 2000 }, twice: {}, truncate: { after: [10, 400] }, drip: { ms: 2 },
	liar: {}, garbage: {}, huge: { mb: 3 },
};
const { values: args } = parseArgs({
	options: {
		lane: { type: 'string', multiple: true, default: [] },
		cert: { type: 'string' }, key: { type: 'string' }, ca: { type: 'string' },
		seed: { type: 'string', default: '1' },
	},
});
const tls = { cert: fs.readFileSync(args.cert), key: fs.readFileSync(args.key) };
const agent = new https.Agent({ keepAlive: true, maxSockets: 256, ca: fs.readFileSync(args.ca) });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// mulberry32: small, and the same everywhere.
function generator(seed) {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = Math.imul(a ^ (a >>> 15), a | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

// --- rules ---

function checked(rules) {
	if (!Array.isArray(rules)) {
		throw new Error('an array of rules is needed');
	}
	for (const r of rules) {
		if (!WIRE.includes(r.fault) && !SERVER.includes(r.fault)) {
			throw new Error(`unknown fault: ${r.fault}`);
		}
		r.left = r.times ?? Infinity;
		r.seen = 0;
		for (const part of r.fault === 'mix' ? r.of ?? [] : []) {
			if (MIX[part] === undefined) {
				throw new Error(`no part of a mix: ${part}`);
			}
		}
	}
	return rules;
}

class Lane {
	constructor(name, target, kind, seed) {
		Object.assign(this, { name, target, kind, rules: [], counts: { connections: 0, requests: 0, pending: 0 }, storm: null });
		this.chance = generator(seed);
		this.sockets = new Set();
		this.wire = net.createServer({ allowHalfOpen: true, noDelay: true }, (c) => this.connected(c));
		this.server = https.createServer({ ...tls, keepAliveTimeout: 30000 }, (req, res) => {
			handle(this, req, res).catch(() => res.destroy()); // the peer has gone, or the server behind has
		});
		this.server.on('tlsClientError', () => {}); // what the wire has broken
	}

	async listen() {
		await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
		await this.open(0);
		this.port = this.wire.address().port;
	}

	open(port) {
		return new Promise((resolve) => this.wire.listen(port, '127.0.0.1', 512, resolve));
	}

	// What stands between the old rules and the new goes, as connections would be judged by both.
	async set(rules) {
		this.rules = rules;
		this.storm = null;
		for (const s of this.sockets) {
			s.destroy();
		}
		const away = rules.some((r) => r.fault === 'away');
		if (away && this.wire.listening) {
			this.count('away');
			await new Promise((resolve) => this.wire.close(resolve));
		} else if (!away && !this.wire.listening) {
			await this.open(this.port);
		}
	}

	count(fault) {
		this.counts[fault] = (this.counts[fault] ?? 0) + 1;
	}

	// A number, or one between two.
	number(n) {
		return Array.isArray(n) ? Math.floor(n[0] + this.chance() * (n[1] - n[0])) : n ?? 0;
	}

	strikes(rule) {
		const chance = this.chance();
		const sure = ++rule.seen === rule.at;
		if (rule.left <= 0 || (!sure && chance >= (rule.p ?? 1))) {
			return null;
		}
		rule.left--;
		return sure && Array.isArray(rule.after) ? { ...rule, after: rule.after[0] } : rule;
	}

	// The faults of one connection or request out of the rules.
	draw(kinds, matches = () => true) {
		const struck = [];
		for (const rule of this.rules) {
			if (rule.fault === 'mix') {
				const parts = (rule.of ?? Object.keys(MIX)).filter((name) => kinds.includes(MIX[name].fault ?? name));
				if (parts.length > 0 && matches(rule) && this.strikes(rule) !== null) {
					const name = parts[Math.floor(this.chance() * parts.length)];
					struck.push({ fault: name, ...MIX[name] });
				}
			} else if (kinds.includes(rule.fault) && matches(rule)) {
				struck.push(this.strikes(rule));
			}
		}
		return struck.filter((rule) => rule !== null);
	}

	connected(client) {
		this.counts.connections++;
		this.sockets.add(client);
		client.on('error', () => {});
		client.on('close', () => this.sockets.delete(client));
		const faults = this.draw(WIRE);
		if (faults.some((f) => f.fault === 'refuse')) {
			this.count('refuse');
			client.resetAndDestroy();
			return;
		}
		const inner = this.rules.some((r) => SERVER.includes(r.fault));
		const port = inner ? this.server.address().port : this.target;
		const server = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
		server.on('error', () => client.resetAndDestroy());
		client.on('close', () => server.destroy());
		server.on('close', () => client.destroy());
		const both = [client, server];
		pump(this, client, server, faults.filter((f) => f.dir !== 'down'), both).catch(() => {});
		pump(this, server, client, faults.filter((f) => f.dir !== 'up'), both).catch(() => {});
	}
}

// --- the wire ---

// Bytes of one direction, until one fault ends it. Faults that have no dir act both ways.
async function pump(lane, from, to, faults, both) {
	const at = (name) => faults.find((f) => f.fault === name);
	const delay = at('delay'), rate = at('rate');
	const ends = ['cut', 'rst', 'stall'].map(at).filter(Boolean).map((f) => ({ fault: f.fault, after: lane.number(f.after) }));
	const end = ends.sort((a, b) => a.after - b.after)[0];
	const corrupt = at('corrupt') && lane.number(at('corrupt').after);
	for (const f of [delay, rate].filter(Boolean)) {
		lane.count(f.fault);
	}
	let passed = 0;
	for await (let chunk of from) {
		if (delay) {
			await sleep(lane.number(delay.ms));
		}
		if (corrupt !== undefined && corrupt >= passed && corrupt < passed + chunk.length) {
			chunk = Buffer.from(chunk);
			chunk[corrupt - passed] ^= 1 << Math.floor(lane.chance() * 8);
			lane.count('corrupt');
		}
		const room = end ? end.after - passed : Infinity;
		passed += chunk.length;
		await write(to, chunk.subarray(0, Math.max(0, room)), rate && lane.number(rate.bps));
		if (chunk.length >= room) {
			lane.count(end.fault);
			if (end.fault === 'stall') {
				await new Promise((resolve) => from.once('close', resolve));
			}
			both.forEach((s) => (end.fault === 'rst' ? s.resetAndDestroy() : s.end()));
			return;
		}
	}
	to.end();
}

async function write(to, chunk, rate) {
	const slice = rate ? Math.max(1, Math.floor(rate / 20)) : chunk.length;
	for (let at = 0; at < chunk.length; at += slice) {
		const part = chunk.subarray(at, at + slice);
		if (!to.write(part) && !to.destroyed) {
			await new Promise((resolve) => {
				to.once('drain', resolve);
				to.once('close', resolve);
			});
		}
		if (rate) {
			await sleep((part.length * 1000) / rate);
		}
	}
}

// --- the server ---

async function bodyOf(stream) {
	const parts = [];
	let size = 0;
	for await (const part of stream) {
		parts.push(part);
		size += part.length;
		if (size > BODY_MAX) {
			throw new Error('the body is too large');
		}
	}
	return Buffer.concat(parts);
}

function forward(lane, req, body) {
	return new Promise((resolve, reject) => {
		const headers = [];
		for (let i = 0; i < req.rawHeaders.length; i += 2) {
			if (!/^(expect|connection)$/i.test(req.rawHeaders[i])) {
				headers.push(req.rawHeaders[i], req.rawHeaders[i + 1]);
			}
		}
		const up = https.request({ host: '127.0.0.1', port: lane.target, agent, method: req.method, path: req.url, headers,
			setHost: false, servername: '' });
		up.on('response', (r) => bodyOf(r).then((b) => resolve({ status: r.statusCode, headers: r.rawHeaders, body: b }), reject));
		up.on('error', reject);
		up.end(body);
	});
}

const ERRORS = {
	429: ['TooManyRequests', 'rateLimitExceeded'], 500: ['InternalError', 'backendError'],
	503: ['SlowDown', 'backendError'],
};

// An error as this provider tells it.
function refusal(lane, rule) {
	const [code, reason] = ERRORS[rule.status] ?? ['Odd', 'odd'];
	const headers = rule.retry_after === undefined ? [] : ['Retry-After', String(rule.retry_after)];
	if (lane.kind === 'gcs') {
		const message = 'We encountered an internal error. Please try again.';
		const error = { code: rule.status, message, errors: [{ domain: 'global', reason, message }] };
		return { status: rule.status, headers: [...headers, 'Content-Type', 'application/json'],
			body: Buffer.from(JSON.stringify({ error })) };
	}
	const name = lane.kind === 'azure' && rule.status === 503 ? 'ServerBusy' : code;
	return { status: rule.status, headers: [...headers, 'Content-Type', 'application/xml', 'x-ms-error-code', name],
		body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${name}</Code><Message>Later.</Message></Error>`) };
}

// Success, as a server would tell it that has done nothing.
function nothingDone(lane, body) {
	const tag = crypto.randomBytes(16).toString('hex');
	if (lane.kind === 'gcs') {
		const text = body.toString('latin1'), found = /"name":"((?:[^"\\]|\\.)*)"/.exec(text);
		const media = text.indexOf('\r\n\r\n', text.indexOf('\r\n--', 4)) + 4; // of the second part
		const size = text.lastIndexOf('\r\n--') - media;
		return { status: 200, headers: ['Content-Type', 'application/json'], body: Buffer.from(
			`{"name":"${found?.[1] ?? 'x'}","generation":"${Date.now()}000","metageneration":"1","size":"${size}"}`, 'latin1') };
	}
	return { status: lane.kind === 'azure' ? 201 : 200, headers: ['ETag', `"${tag}"`], body: Buffer.alloc(0) };
}

const swapped = (text) => text.replace(/[a-f0-9](?=[^a-f0-9]*$)/i, (c) => (c === '0' ? '1' : '0'));

function lie(answer) {
	const headers = answer.headers.map((v, i) => (i % 2 === 1 &&
		/^(etag|content-md5|x-ms-content-crc64|x-goog-hash|x-goog-generation|x-amz-checksum.*)$/i.test(answer.headers[i - 1])
		? swapped(v) : v));
	const text = answer.body.toString('latin1');
	const body = text.startsWith('{') ? text.replace(/("(?:md5Hash|crc32c|etag|generation)":\s*")([^"]*)"/g,
		(_, before, value) => `${before}${swapped(value)}"`) : text;
	return { ...answer, headers, body: Buffer.from(body, 'latin1') };
}

// The answer's fields as they go out: of the framing, only a length that fits.
function fieldsOf(answer, method) {
	const bare = method === 'HEAD' || answer.status === 204 || answer.status === 304;
	const fields = [];
	for (let i = 0; i < answer.headers.length; i += 2) {
		const isFraming = /^(connection|keep-alive|transfer-encoding)$/i.test(answer.headers[i]);
		if (!isFraming && (bare || !/^content-length$/i.test(answer.headers[i]))) {
			fields.push(answer.headers[i], answer.headers[i + 1]);
		}
	}
	return bare ? fields : [...fields, 'Content-Length', String(answer.body.length)];
}

function respond(res, req, answer) {
	res.sendDate = false;
	res.writeHead(answer.status, fieldsOf(answer, req.method));
	res.end(req.method === 'HEAD' ? undefined : answer.body);
}

// Written by hand, so that it may break off, or creep, at any byte.
async function respondBadly(lane, req, answer, fault) {
	const socket = req.socket, fields = fieldsOf(answer, req.method);
	let head = `HTTP/1.1 ${answer.status} ${http.STATUS_CODES[answer.status] ?? 'Odd'}\r\n`;
	for (let i = 0; i < fields.length; i += 2) {
		head += `${fields[i]}: ${fields[i + 1]}\r\n`;
	}
	const bytes = Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), req.method === 'HEAD' ? Buffer.alloc(0) : answer.body]);
	if (fault.fault === 'truncate') {
		socket.end(bytes.subarray(0, Math.min(lane.number(fault.after), bytes.length - 1)));
		return;
	}
	for (let i = 0; i < bytes.length && !socket.destroyed; i++) {
		socket.write(bytes.subarray(i, i + 1));
		await sleep(fault.ms);
	}
	socket.end();
}

// The storm that rages, or one that begins now.
function stormOf(lane, faults) {
	const rule = faults.find((f) => f.fault === 'storm');
	if (rule && !(lane.storm && Date.now() < lane.storm.until)) {
		lane.storm = { ...rule, until: Date.now() + rule.ms };
	}
	return lane.storm && Date.now() < lane.storm.until ? lane.storm : null;
}

// What strikes this request; null: nothing.
function faultOf(lane, req, body) {
	const text = req.url + body.subarray(0, 1000).toString('latin1');
	const matches = (r) => (!r.method || new RegExp(r.method).test(req.method)) && (!r.object || new RegExp(r.object).test(text));
	const faults = lane.draw(SERVER, matches);
	const fault = stormOf(lane, faults) ?? faults.find((f) => f.fault !== 'storm') ?? null;
	if (fault !== null) {
		lane.count(fault.fault === 'status' ? `status ${fault.status}` : fault.fault);
	}
	return fault;
}

const noise = (answer) => ({ ...answer, body: crypto.randomBytes(Math.max(64, answer.body.length)) });
const swell = (answer, mb) => ({ ...answer, body: Buffer.alloc(mb << 20, 'a') });

async function handle(lane, req, res) {
	const body = await bodyOf(req);
	lane.counts.requests++;
	const fault = faultOf(lane, req, body), kind = fault?.fault;
	if (kind === 'status' || kind === 'storm') {
		respond(res, req, refusal(lane, fault));
		return;
	}
	if (kind === 'absent') {
		respond(res, req, nothingDone(lane, body));
		return;
	}
	if (kind === 'late') {
		req.socket.destroy();
		lane.counts.pending++;
		await sleep(fault.ms);
		await forward(lane, req, body).finally(() => lane.counts.pending--);
		return;
	}
	if (kind === 'twice') {
		await forward(lane, req, body);
	}
	const answer = await forward(lane, req, body);
	if (kind === 'lost') {
		req.socket.destroy();
	} else if (kind === 'truncate' || kind === 'drip') {
		await respondBadly(lane, req, answer, fault);
	} else if (kind === 'garbage' || kind === 'huge') {
		respond(res, req, kind === 'huge' ? swell(answer, fault.mb) : noise(answer));
	} else {
		respond(res, req, kind === 'liar' ? lie(answer) : answer);
	}
}

// --- control ---

async function control(lanes, req, res) {
	const name = req.url.slice(1);
	const chosen = name === '' ? [...lanes.values()] : [lanes.get(name)];
	if (chosen.includes(undefined)) {
		res.writeHead(404);
		res.end('no such lane\n');
	} else if (req.method === 'POST') {
		const text = (await bodyOf(req)).toString();
		for (const lane of chosen) {
			await lane.set(checked(JSON.parse(text))); // its own copy: it counts in it
		}
		res.end('{}\n');
	} else {
		res.setHeader('content-type', 'application/json');
		res.end(JSON.stringify(Object.fromEntries([...lanes.values()].map((l) => [l.name, l.counts]))));
	}
}

async function main() {
	const lanes = new Map();
	for (const [i, text] of args.lane.entries()) {
		const [name, port, kind] = text.split('=');
		lanes.set(name, new Lane(name, Number(port), kind, Number(args.seed) * 1000 + i));
		await lanes.get(name).listen();
	}
	const server = http.createServer((req, res) => {
		control(lanes, req, res).catch((e) => {
			res.writeHead(400);
			res.end(`${e.message}\n`);
		});
	});
	server.listen(0, '127.0.0.1', () => {
		const ports = Object.fromEntries([...lanes.values()].map((l) => [l.name, l.port]));
		console.log(JSON.stringify({ control: server.address().port, lanes: ports }));
	});
}

for (const signal of ['SIGTERM', 'SIGINT']) {
	process.on(signal, () => process.exit(0));
}
await main();
