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
		const [head, request = '', ...body] = part.split('\r\n\r\n');
		const found = /^([A-Z]+) (\S+)(?: HTTP\/1\.1)?\s*(?:\r\n|$)/.exec(request);
		if (found === null || !/^content-type:\s*application\/http\s*$/im.test(head)) {
			throw invalid('A part is no request of application/http.');
		}
		const id = /^content-id:\s*<?([^>\r\n]+)>?\s*$/im.exec(head)?.[1] ?? '';
		return { id, method: found[1], url: found[2], body: body.join('\r\n\r\n') };
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
		const headers = { authorization: req.headers.authorization, host: req.headers.host };
		const read = async function* () { yield Buffer.from(body, 'latin1'); };
		await call({ method, url, headers, inBatch: true, resume() {}, [Symbol.asyncIterator]: read }, answer);
		const head = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
		out.push(Buffer.from(`--batch_fake\r\nContent-Type: application/http\r\nContent-ID: <response-${id}>\r\n\r\n` +
			`HTTP/1.1 ${answer.status} Answer\r\n${head}\r\n`), answer.text, Buffer.from('\r\n'));
	}
	const text = Buffer.concat([...out, Buffer.from('--batch_fake--\r\n')]);
	res.writeHead(200, { 'content-type': 'multipart/mixed; boundary=batch_fake', 'content-length': text.length });
	res.end(text);
}
