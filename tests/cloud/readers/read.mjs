// Reads back every object of a store with a client that is not ours, and prints one line of JSON for each:
// {key, sha256, size, type, encoding, cache, meta}. The bytes are hashed as decoded.
//
//   node read.mjs STORE.ini              lines "name = value" as the server scripts print them; the CA by NODE_EXTRA_CA_CERTS
//   node read.mjs STORE.ini KEY...       first puts these objects, as a stranger would (S3 and Azure)
//
// S3 and Azure are read by their vendors' SDKs, GCS by its JSON API here (the vendor's SDK is not needed to list and get).
import crypto from 'node:crypto';
import fs from 'node:fs';
import zlib from 'node:zlib';

const AT_ONCE = 16;
const ini = Object.fromEntries(fs.readFileSync(process.argv[2], 'utf8').split('\n')
	.map((line) => /^(\w+)\s*=\s*(.*)$/.exec(line)).filter(Boolean).map((m) => [m[1], m[2]]));

const planted = process.argv.slice(3);

function tell(key, body, type, encoding, cache, meta) {
	const bytes = encoding === 'gzip' ? zlib.gunzipSync(body) : body;
	const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
	console.log(JSON.stringify({ key, sha256, size: bytes.length, type, encoding, cache, meta }));
}

async function each(keys, read) {
	const queue = keys[Symbol.asyncIterator]();
	const worker = async () => {
		for (let next; !(next = await queue.next()).done;) {
			await read(next.value);
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function s3() {
	const { S3Client, ListObjectsV2Command, GetObjectCommand, PutObjectCommand } = await import('@aws-sdk/client-s3');
	const client = new S3Client({ region: 'us-east-1', endpoint: ini.endpoint, forcePathStyle: true,
		credentials: { accessKeyId: ini.access_key_id, secretAccessKey: ini.secret_access_key } });
	for (const Key of planted) {
		await client.send(new PutObjectCommand({ Bucket: ini.bucket, Key, Body: `precious ${Key}` }));
	}
	async function* keys() {
		let token;
		do {
			const page = await client.send(new ListObjectsV2Command({ Bucket: ini.bucket, ContinuationToken: token }));
			for (const o of page.Contents ?? []) {
				yield o.Key;
			}
			token = page.NextContinuationToken;
		} while (token);
	}
	await each(keys(), async (Key) => {
		const o = await client.send(new GetObjectCommand({ Bucket: ini.bucket, Key }));
		tell(Key, Buffer.from(await o.Body.transformToByteArray()), o.ContentType, o.ContentEncoding, o.CacheControl, o.Metadata);
	});
}

async function azure() {
	const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob');
	const service = new BlobServiceClient(ini.endpoint, new StorageSharedKeyCredential(ini.account, ini.account_key));
	const container = service.getContainerClient(ini.container);
	for (const name of planted) {
		const text = `precious ${name}`;
		await container.getBlockBlobClient(name).upload(text, text.length);
	}
	async function* keys() {
		for await (const blob of container.listBlobsFlat()) {
			yield blob.name;
		}
	}
	await each(keys(), async (name) => {
		const o = await container.getBlobClient(name).download();
		const parts = [];
		for await (const part of o.readableStreamBody) {
			parts.push(part);
		}
		tell(name, Buffer.concat(parts), o.contentType, o.contentEncoding, o.cacheControl, o.metadata);
	});
}

async function token() {
	const account = JSON.parse(fs.readFileSync(ini.credentials, 'utf8'));
	const now = Math.floor(Date.now() / 1000);
	const text = [{ alg: 'RS256', typ: 'JWT', kid: account.private_key_id },
		{ iss: account.client_email, scope: 'https://www.googleapis.com/auth/devstorage.read_write', aud: account.token_uri,
			iat: now, exp: now + 3600 }].map((o) => Buffer.from(JSON.stringify(o)).toString('base64url')).join('.');
	const assertion = `${text}.${crypto.sign('RSA-SHA256', text, account.private_key).toString('base64url')}`;
	const r = await fetch(account.token_uri, { method: 'POST', body: new URLSearchParams({
		grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }) });
	return (await r.json()).access_token;
}

async function gcs() {
	const headers = { authorization: `Bearer ${await token()}`, 'accept-encoding': 'identity' };
	const base = `${ini.endpoint}/storage/v1/b/${ini.bucket}/o`;
	const ask = async (url) => {
		const r = await fetch(url, { headers });
		if (!r.ok) {
			throw new Error(`${url}: ${r.status} ${await r.text()}`);
		}
		return r;
	};
	async function* objects() {
		let more = '';
		do {
			const page = await (await ask(`${base}?maxResults=1000${more}`)).json();
			yield* page.items ?? [];
			more = page.nextPageToken ? `&pageToken=${encodeURIComponent(page.nextPageToken)}` : '';
		} while (more);
	}
	await each(objects(), async (o) => {
		const r = await ask(`${base}/${encodeURIComponent(o.name)}?alt=media`); // decompressed by the server
		tell(o.name, Buffer.from(await r.arrayBuffer()), o.contentType, undefined, o.cacheControl, o.metadata);
	});
}

await { s3, azure, gcs }[ini.plugin]();
