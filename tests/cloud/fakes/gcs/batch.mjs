// multipart/mixed: up to 100 calls in one, each answered for itself; no media.
import { invalid, bodyOf } from './store.mjs';

const CALLS_MAX = 100;

// Stands for the response of one call.
class Captured {
	constructor() {
		this.headersSent = false;
		this.text = Buffer.alloc(0);
	}

	writeHead(status, headers = {}) {
		Object.assign(this, { status, headers, headersSent: true });
		return this;
	}

	end(body = '') {
		this.text = Buffer.from(body);
	}
}

function callsOf(type, body) {
	const boundary = /^multipart\/mixed;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*$/.exec(type);
	if (boundary === null) {
		throw invalid('Content-Type must be multipart/mixed with a boundary.');
	}
	const parts = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary[1] ?? boundary[2]}`);
	if (parts.length < 3 || !/^--\s*$/.test(parts.at(-1))) {
		throw invalid('Missing end boundary in multipart body.');
	}
	return parts.slice(1, -1).map((part) => {
		const found = /^\r\n([\s\S]*?)\r\n\r\n([A-Z]+) (\S+)(?: HTTP\/1\.1)?\r\n([\s\S]*?)(?:\r\n)?\r\n([\s\S]*)$/.exec(part);
		if (found === null || !/^content-type:\s*application\/http\s*$/im.test(found[1])) {
			throw invalid('A part is no request of application/http.');
		}
		const id = /^content-id:\s*<?([^>\r\n]+)>?\s*$/im.exec(found[1])?.[1] ?? '';
		return { id, method: found[2], url: found[3], body: found[5] };
	});
}

// call: (req, res) => promise, never rejects.
export async function batch(req, res, call) {
	const calls = callsOf(req.headers['content-type'] ?? '', await bodyOf(req));
	if (calls.length > CALLS_MAX) {
		throw invalid(`The batch request has ${calls.length} calls, at most ${CALLS_MAX}.`);
	}
	const out = [];
	for (const { id, method, url, body } of calls) {
		const answer = new Captured();
		const one = { method, url, headers: req.headers, resume() {}, inBatch: true,
			async *[Symbol.asyncIterator]() { yield Buffer.from(body, 'latin1'); } };
		await call({ ...one, headers: { authorization: req.headers.authorization, host: req.headers.host } }, answer);
		const head = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
		out.push(Buffer.from(`--batch_fake\r\nContent-Type: application/http\r\nContent-ID: <response-${id}>\r\n\r\n` +
			`HTTP/1.1 ${answer.status} Answer\r\n${head}\r\n`), answer.text, Buffer.from('\r\n'));
	}
	const text = Buffer.concat([...out, Buffer.from('--batch_fake--\r\n')]);
	res.writeHead(200, { 'content-type': 'multipart/mixed; boundary=batch_fake', 'content-length': text.length });
	res.end(text);
}
