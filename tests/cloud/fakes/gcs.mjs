// A strict Google Cloud Storage on loopback: token endpoints, and the part of the JSON API that a publisher
// needs. Independent of the program: nothing here is shared with it, CRC-32C included.
//
//   node gcs.mjs --public-key sa.pub.pem --issuer ACCOUNT --bucket NAME [--bucket NAME]
//                [--port 0] [--cert c.pem --key k.pem] [--clock-offset SECONDS]
//                [--client ID:SECRET --refresh-token T] [--audience A --subject-token T] [--metadata-port 0]
//
// Prints the port on a line of its own once it listens, then that of the metadata server where one is asked for.
// Without --cert it speaks plain HTTP; the metadata server always does.
//
// What it insists on: an access token from its own endpoints (/token for RS256 assertions - signature, iss, aud, scope,
// exp - iat <= 3600, clock - and refresh tokens, /v1/token for the exchange of somebody else's, generateAccessToken,
// the metadata server with its header); md5Hash and crc32c that fit (400); generation conditions (412, 304);
// well-formed multipart/related and multipart/mixed; sessions in order and in multiples of 256 KiB; metadata values that
// are strings; names that may be names; fields= that name fields. What is stored as gzip is inflated for clients that
// do not accept gzip.
//
// POST /faults takes a list of what shall go wrong, in place of the one before; each rule strikes `times` times (1):
//   {"method": "PUT", "path": REGEX, "status": 503, "retryAfter": 1}   is answered so, nothing is done
//   (a rule that says no more lets through)
//   {"what": "lost"}     is done, and the connection closed       {"what": "short", "keep": N}   a session keeps less
//   {"what": "gone"}     every session has ended                  {"what": "forget"}             every token is dead
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';
import { batch } from './gcs/batch.mjs';
import {
	Refusal, bodyOf, buckets, invalid, listObjects, objectsOf, patchObject, readObject, removeObject, rewriteObject, sendJson,
	sendRefusal,
} from './gcs/store.mjs';
import { checkToken, forgetTokens, giveToken, impersonate, listenMetadata, now, trust } from './gcs/tokens.mjs';
import { endSessions, proceed, upload } from './gcs/uploads.mjs';

const { values: args } = parseArgs({
	options: {
		port: { type: 'string', default: '0' },
		cert: { type: 'string' },
		key: { type: 'string' },
		'public-key': { type: 'string' },
		issuer: { type: 'string' },
		bucket: { type: 'string', multiple: true, default: [] },
		'clock-offset': { type: 'string', default: '0' },
		client: { type: 'string', default: '' },
		'refresh-token': { type: 'string' },
		audience: { type: 'string' },
		'subject-token': { type: 'string' },
		'metadata-port': { type: 'string' },
	},
});
const scheme = args.cert ? 'https' : 'http';
for (const name of args.bucket) {
	buckets.set(name, new Map());
}
const [client, secret] = args.client.split(':');
Object.assign(trust, {
	publicKey: crypto.createPublicKey(fs.readFileSync(args['public-key'])), issuer: args.issuer, client, secret,
	refreshToken: args['refresh-token'], audience: args.audience, subjectToken: args['subject-token'],
	offset: Number(args['clock-offset']),
});

// --- faults ---

let faults = [];

function faultOf(req) {
	const fault = faults.find((f) => f.times !== 0 && (f.method ?? req.method) === req.method &&
		new RegExp(f.path ?? '').test(req.url));
	if (fault !== undefined) {
		fault.times = (fault.times ?? 1) - 1;
	}
	return fault;
}

// True: nothing more is to be done.
function strike(fault, req, res) {
	if (fault.what === 'lost') {
		res.end = () => req.socket.destroy();
	} else if (fault.what === 'gone') {
		endSessions();
	} else if (fault.what === 'forget') {
		forgetTokens();
	} else if (fault.status !== undefined) {
		const reason = fault.status === 429 ? 'rateLimitExceeded' : 'backendError';
		const wait = fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) };
		throw new Refusal(fault.status, reason, 'A fault that was asked for.', wait);
	}
}

// --- the server ---

const PATH = /^(\/upload|\/download)?\/storage\/v1\/b\/([^/]+)(?:\/o(?:\/([^/]+)(?:\/rewriteTo\/b\/([^/]+)\/o\/([^/]+))?)?)?$/;

async function answerObject(req, res, url) {
	const found = PATH.exec(url.pathname);
	if (found === null) {
		throw new Refusal(404, 'notFound', 'Not Found');
	}
	const query = url.searchParams, before = found[1];
	const [bucket, name, toBucket, toName] = found.slice(2).map((s) => (s === undefined ? undefined : decodeURIComponent(s)));
	const hasObjects = /\/o(\/|$)/.test(url.pathname);
	if (before === '/upload' && (req.inBatch || req.method !== 'POST' || !hasObjects || name !== undefined)) {
		throw new Refusal(405, 'methodNotAllowed', 'Method Not Allowed');
	} else if (before === '/upload') {
		await upload(req, res, url.origin, bucket, query);
	} else if (toName !== undefined && req.method === 'POST') {
		await rewriteObject(req, res, bucket, name, toBucket, toName, query);
	} else if (req.method === 'GET' && !hasObjects) {
		objectsOf(bucket);
		sendJson(res, 200, { kind: 'storage#bucket', id: bucket, name: bucket, storageClass: 'STANDARD', metageneration: '1' });
	} else if (req.method === 'GET' && name === undefined) {
		listObjects(res, bucket, query);
	} else if (req.method === 'GET' && req.inBatch && query.get('alt') === 'media') {
		throw invalid('A batch has no media.');
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

async function answer(req, res) {
	const url = new URL(req.url, `${scheme}://${req.headers.host ?? '127.0.0.1'}`);
	if (url.pathname === '/faults' && req.method === 'POST') {
		faults = JSON.parse(await bodyOf(req));
		sendJson(res, 200, {});
		return;
	}
	const fault = faultOf(req);
	if (fault !== undefined) {
		strike(fault, req, res);
	}
	const account = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):generateAccessToken$/.exec(url.pathname)?.[1];
	const session = url.pathname.startsWith('/upload/') ? url.searchParams.get('upload_id') : null;
	if (url.pathname === '/token' || url.pathname === '/v1/token') {
		await giveToken(req, res, url.origin, url.pathname);
	} else if (account !== undefined && req.method === 'POST') {
		await impersonate(req, res, decodeURIComponent(account));
	} else if (session !== null && (req.method === 'PUT' || req.method === 'DELETE')) {
		await proceed(req, res, session, fault?.what === 'short' ? fault.keep : undefined); // the address is the permission
	} else if (url.pathname === '/batch/storage/v1' && req.method === 'POST') {
		checkToken(req);
		await batch(req, res, handle);
	} else {
		checkToken(req);
		await answerObject(req, res, url);
	}
}

async function handle(req, res) {
	if (trust.offset !== 0 && res.setHeader !== undefined) {
		res.setHeader('date', new Date(now() * 1000).toUTCString());
	}
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
	if (args['metadata-port'] === undefined) {
		console.log(server.address().port);
	} else {
		listenMetadata(Number(args['metadata-port']), (port) => console.log(`${server.address().port}\n${port}`));
	}
});
for (const signal of ['SIGTERM', 'SIGINT']) {
	process.on(signal, () => process.exit(0));
}
