// Lets everybody get (not list) the objects of a store, as an origin that a CDN reads without credentials.
//
//   node open.mjs STORE.ini      see read.mjs; prints the address below which the objects are
import fs from 'node:fs';

const ini = Object.fromEntries(fs.readFileSync(process.argv[2], 'utf8').split('\n')
	.map((line) => /^(\w+)\s*=\s*(.*)$/.exec(line)).filter(Boolean).map((m) => [m[1], m[2]]));

async function s3() {
	const { S3Client, PutBucketPolicyCommand } = await import('@aws-sdk/client-s3');
	const client = new S3Client({ region: 'us-east-1', endpoint: ini.endpoint, forcePathStyle: true,
		credentials: { accessKeyId: ini.access_key_id, secretAccessKey: ini.secret_access_key } });
	await client.send(new PutBucketPolicyCommand({ Bucket: ini.bucket, Policy: JSON.stringify({
		Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: '*', Action: ['s3:GetObject'],
			Resource: [`arn:aws:s3:::${ini.bucket}/*`] }] }) }));
	console.log(`${ini.endpoint}/${ini.bucket}`);
}

async function azure() {
	const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob');
	const service = new BlobServiceClient(ini.endpoint, new StorageSharedKeyCredential(ini.account, ini.account_key));
	await service.getContainerClient(ini.container).setAccessPolicy('blob');
	console.log(`${ini.endpoint}/${ini.container}`);
}

await { s3, azure }[ini.plugin]();
