// The scripts of CloudFront, Route 53, Front Door, Azure DNS and Traffic Manager against the vendors' own clients, unmodified:
// what a client sends for the same wish is what a script demands of our plug-in, and what a script answers means the same to
// the client. So the scripts are no private dialect of ours. Nothing is sent anywhere: the clients get a transport of ours.
//
//   CLOUD_CACHE=FOLDER node --test forms_test.mjs
//
// The clients are installed into CLOUD_CACHE/forms-sdk where they are not there (90 MB).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { before, test } from 'node:test';

const PACKAGES = {
	'@aws-sdk/client-cloudfront': '3.1164.0',
	'@aws-sdk/client-route-53': '3.1169.0',
	'@azure/arm-cdn': '9.1.0',
	'@azure/arm-dns': '5.1.0',
	'@azure/arm-trafficmanager': '6.1.0',
};
const folder = path.join(process.env.CLOUD_CACHE ?? path.join(os.homedir(), '.cache/difusor-cloud'), 'forms-sdk');
const scripts = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../plugin/scripts');
const require = createRequire(`${folder}/`);

before(() => {
	const has = ([name, version]) => {
		const file = path.join(folder, 'node_modules', name, 'package.json');
		return fs.existsSync(file) && JSON.parse(fs.readFileSync(file)).version === version;
	};
	const missing = Object.entries(PACKAGES).filter((p) => !has(p)).map(([name, version]) => `${name}@${version}`);
	if (missing.length > 0) {
		fs.mkdirSync(folder, { recursive: true });
		execFileSync('npm', ['install', '--no-fund', '--no-audit', '--ignore-scripts', ...missing], { cwd: folder, stdio: 'inherit' });
	}
}, { timeout: 300000 });

// --- scripts ---

const USUAL = {
	idem: '0123456789abcdef0123456789abcdef', name: 'www.prep.example', type: 'CNAME', ttl: '60', n: '2',
	target1: 'eins', value1: 'a.cdn.example.net', weight1: '3', target2: 'zwei', value2: 'b.cdn.example.net', weight2: '1',
};

function valuesOf(plugin) {
	const text = fs.readFileSync(path.join(scripts, plugin, 'instance.ini'), 'utf8').split('[contract]')[1];
	const own = Object.fromEntries([...text.matchAll(/^(\w+)\s*=\s*(.*)$/gm)].map((m) => [m[1], m[2]]));
	return { ...USUAL, ...own };
}

// The end of {...} that begins at i.
function close(text, i) {
	for (let depth = 0; i < text.length; i++) {
		depth += { '{': 1, '}': -1 }[text[i]] ?? 0;
		if (depth === 0) {
			return i;
		}
	}
	throw new Error('a brace has no end');
}

// The values used here need no encoding, so {name:enc} is {name}.
function fill(text, values, items) {
	for (let at; (at = text.indexOf('{each:')) >= 0;) {
		const end = close(text, at), [between, each] = text.slice(at + 6, end).split(/\|(.*)/s);
		text = text.slice(0, at) + items.map((i) => fill(each, { ...values, ...i }, [])).join(between) + text.slice(end + 1);
	}
	return text.replace(/\{(\w+)(?::\w+)?\}/g, (all, name) => values[name] ?? all).replaceAll('\\*', '*');
}

// The exchanges of a script: what is asked, what is answered.
function read(plugin, name, items) {
	const values = valuesOf(plugin), all = [];
	for (const line of fs.readFileSync(path.join(scripts, plugin, `${name}.txt`), 'utf8').split('\n')) {
		const last = all.at(-1), rest = line.slice(2).trim();
		if (line.startsWith('>|')) {
			last.body = (last.body ?? '') + fill(rest, values, items);
		} else if (line.startsWith('> ') && (last === undefined || last.status !== undefined)) {
			const [method, url] = rest.split(' ');
			all.push({ method, url: new URL(fill(url, values, items)), fields: {}, reply: {}, content: '' });
		} else if (line.startsWith('> ')) {
			const [key, value] = rest.split(/:\s*(.*)/s);
			last.fields[key] = fill(value ?? '', values, items);
		} else if (line.startsWith('< ') && last.status === undefined) {
			last.status = Number(rest);
		} else if (line.startsWith('< ')) {
			const [key, value] = rest.split(/:\s*(.*)/s);
			last.reply[key] = fill(value, values, items);
		} else if (line.startsWith('|')) {
			last.content += `${fill(line.slice(2), values, items)}\n`;
		}
	}
	return all;
}

const paths = ['/p/page.html', '/p/'].map((p) => ({ path: p }));
const tags = ['cut-12', 'page_index'].map((tag) => ({ tag }));
const targetsOf = (plugin) => {
	const v = valuesOf(plugin);
	return [1, 2].map((i) => ({ target: v[`target${i}`], value: v[`value${i}`], weight: v[`weight${i}`] }));
};

// --- comparing ---

// The order of Comment and Changes is the client's own.
const xml = (s) => s.replace(/<\?xml.*?\?>/, '').replace(/(<Comment>.*?<\/Comment>)(<Changes>.*<\/Changes>)/, '$2$1');
const plain = (s) => s.toLowerCase().replace(/\/$/, '');

function same(sent, exchange) {
	assert.equal(sent.method, exchange.method);
	assert.equal(plain(sent.host + sent.path), plain(exchange.url.host + decodeURIComponent(exchange.url.pathname)));
	const asked = Object.fromEntries(exchange.url.searchParams);
	delete asked['api-version'];
	delete sent.query['api-version'];
	assert.deepEqual(sent.query, asked);
	for (const name of ['if-match', 'if-none-match']) {
		assert.equal(sent.fields[name], exchange.fields[name]);
	}
	if (exchange.body?.startsWith('{')) {
		assert.deepEqual(JSON.parse(sent.body), JSON.parse(exchange.body));
	} else {
		assert.equal(xml(sent.body ?? ''), xml(exchange.body ?? ''));
	}
}

// --- clients ---

function aws(name, sent, exchange) {
	return new (require(`@aws-sdk/client-${name}`)[{ cloudfront: 'CloudFrontClient', 'route-53': 'Route53Client' }[name]])({
		region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, maxAttempts: 1,
		requestHandler: {
			handle: async (r) => {
				sent.push({ method: r.method, host: r.hostname, path: r.path, query: r.query, fields: r.headers, body: r.body });
				return { response: { statusCode: exchange.status, headers: exchange.reply, body: Readable.from([exchange.content]) } };
			},
		},
	});
}

function azure(client, sent, exchanges) {
	const { createHttpHeaders } = createRequire(require.resolve(client))('@azure/core-rest-pipeline');
	const name = { '@azure/arm-cdn': 'CdnManagementClient', '@azure/arm-dns': 'DnsManagementClient',
		'@azure/arm-trafficmanager': 'TrafficManagerManagementClient' }[client];
	const credential = { getToken: async () => ({ token: 't', expiresOnTimestamp: Date.now() + 3600000 }) };
	const httpClient = {
		sendRequest: async (request) => {
			const url = new URL(request.url), give = exchanges[sent.length];
			const fields = Object.fromEntries([...request.headers].map(([name, value]) => [name.toLowerCase(), value]));
			sent.push({ method: request.method, host: url.host, path: decodeURIComponent(url.pathname), body: request.body,
				query: Object.fromEntries(url.searchParams), fields });
			return { request, status: give.status, headers: createHttpHeaders(give.reply), bodyAsText: give.content };
		},
	};
	const subscription = '0b1f6471-1bf0-4dda-aec3-cb9272f09590';
	return new (require(client)[name])(credential, subscription, { httpClient, retryOptions: { maxRetries: 0 } });
}

async function withAws(plugin, script, items, name, command, input, at = 0) {
	const exchange = read(plugin, script, items)[at], sent = [];
	const out = await aws(name, sent, exchange).send(new (require(`@aws-sdk/client-${name}`)[command])(input));
	same(sent[0], exchange);
	return out;
}

// more: scripts of what is asked afterwards.
async function withAzure(plugin, script, items, client, call, more = []) {
	const exchanges = [script, ...more].flatMap((name) => read(plugin, name, items)), sent = [];
	const out = await call(azure(client, sent, exchanges));
	sent.forEach((one, i) => same(one, exchanges[i]));
	assert.equal(sent.length, exchanges.length);
	return out;
}

// --- CDN ---

test('CloudFront: invalidations', async () => {
	const DistributionId = 'E2QWRUHAPOMQZL', Id = 'I2J0I21PCUYOIK';
	const make = (script, items, list) => withAws('cloudfront', script, items, 'cloudfront', 'CreateInvalidationCommand', {
		DistributionId, InvalidationBatch: { CallerReference: USUAL.idem, Paths: { Quantity: list.length, Items: list } },
	});
	const made = await make('purge_urls', paths, paths.map((p) => p.path));
	assert.equal(made.Invalidation.Id, Id);
	assert.equal(made.Invalidation.Status, 'InProgress');
	await make('purge_tags', tags, tags.map((t) => `#${t.tag}`));
	await make('purge_all', [], ['/*']);
	const done = await withAws('cloudfront', 'state_settled', [], 'cloudfront', 'GetInvalidationCommand', { DistributionId, Id });
	assert.equal(done.Invalidation.Status, 'Completed');
	await withAws('cloudfront', 'probe', [], 'cloudfront', 'ListInvalidationsCommand', { DistributionId, MaxItems: 1 });
	await assert.rejects(make('purge_in_progress', paths, paths.map((p) => p.path)), { name: 'TooManyInvalidationsInProgress' });
});

test('Front Door and Azure CDN: purges', async () => {
	const group = ['prep', 'prep-frontdoor', 'www'], contentPaths = paths.map((p) => p.path);
	const domains = ['www.prep.example', 'prep.example'], client = '@azure/arm-cdn';
	const purge = (state) => withAzure('frontdoor', 'purge_urls', paths, client,
		(c) => c.afdEndpoints.beginPurgeContent(...group, { contentPaths, domains }), [state]);
	assert.equal((await purge('state_settled')).isDone(), true);
	assert.equal((await purge('state_pending')).isDone(), false);
	await assert.rejects(purge('state_failed'));
	await withAzure('frontdoor', 'probe', [], client, (c) => c.afdEndpoints.get(...group));
	const older = (state) => withAzure('frontdoor.cdn', 'purge_urls', paths, client,
		(c) => c.endpoints.beginPurgeContent('prep', 'prep-cdn', 'www', { contentPaths }), [state]);
	assert.equal((await older('state_settled')).isDone(), true);
	assert.equal((await older('state_pending')).isDone(), false);
});

// --- steering ---

test('Route 53: records', async () => {
	const HostedZoneId = 'Z1D633PJN98FT9', items = targetsOf('route53');
	const read53 = await withAws('route53', 'get', [], 'route-53', 'ListResourceRecordSetsCommand', {
		HostedZoneId, StartRecordName: USUAL.name, StartRecordType: 'CNAME', MaxItems: 200,
	});
	assert.deepEqual(read53.ResourceRecordSets.slice(0, 2).map((r) => [r.SetIdentifier, r.Weight, r.TTL]),
		[['difusor-eins', 3, 60], ['difusor-zwei', 1, 60]]);
	const record = (id, weight, ttl, value) => ({ Name: 'www.prep.example.', Type: 'CNAME', SetIdentifier: `difusor-${id}`,
		Weight: weight, TTL: ttl, ResourceRecords: [{ Value: value }] });
	const Changes = items.map((t) => ({ Action: 'UPSERT', ResourceRecordSet: record(t.target, Number(t.weight), 60, t.value) }));
	Changes.push({ Action: 'DELETE', ResourceRecordSet: record('gone', 9, 300, 'old.cdn.example.net') });
	const change = (script) => withAws('route53', script, items, 'route-53', 'ChangeResourceRecordSetsCommand',
		{ HostedZoneId, ChangeBatch: { Comment: `difusor ${USUAL.idem}`, Changes } }, 1);
	assert.equal((await change('set')).ChangeInfo.Status, 'PENDING');
	await assert.rejects(change('set_throttled'), { name: 'PriorRequestNotComplete' });
	const state = await withAws('route53', 'state_settled', [], 'route-53', 'GetChangeCommand', { Id: '/change/C2682N5HXP0BZ4' });
	assert.equal(state.ChangeInfo.Status, 'INSYNC');
});

test('Azure DNS: record sets', async () => {
	const client = '@azure/arm-dns', where = ['prep', 'prep.example', 'www'];
	for (const [plugin, type] of [['azuredns', 'A'], ['azuredns.cname', 'CNAME']]) {
		const all = targetsOf(plugin), items = type === 'A' ? all : all.slice(0, 1), tag = valuesOf(plugin).tag;
		const body = type === 'A' ? { ttl: 60, aRecords: items.map((t) => ({ ipv4Address: t.value })) }
			: { ttl: 60, cnameRecord: { cname: items[0].value } };
		const got = await withAzure(plugin, 'get', items, client, (c) => c.recordSets.get(...where, type));
		assert.equal(got.etag, tag);
		assert.equal(got.ttl, 60);
		assert.deepEqual(got.aRecords ?? got.cnameRecord, body.aRecords ?? body.cnameRecord);
		await withAzure(plugin, 'set', items, client, (c) => c.recordSets.createOrUpdate(...where, type, body, { ifMatch: tag }));
		await withAzure(plugin, 'set_absent', items, client, (c) => c.recordSets.createOrUpdate(...where, type, body));
		await assert.rejects(withAzure(plugin, 'set_lost', items, client,
			(c) => c.recordSets.createOrUpdate(...where, type, body, { ifMatch: tag })), { code: 'PreconditionFailed' });
	}
});

test('Traffic Manager: endpoints and the TTL', async () => {
	const client = '@azure/arm-trafficmanager', where = ['prep', 'prep-site'];
	const got = await withAzure('trafficmanager', 'get', [], client, (c) => c.profiles.get(...where));
	assert.equal(got.trafficRoutingMethod, 'Weighted');
	assert.deepEqual(got.endpoints.map((e) => [e.name, e.endpointStatus, e.weight]), [['eins', 'Enabled', 3], ['zwei', 'Enabled', 1]]);
	await withAzure('trafficmanager', 'set', [], client, async (c) => {
		await c.profiles.get(...where);
		await c.profiles.update(...where, { dnsConfig: { ttl: 60 } });
		await c.endpoints.update(...where, 'ExternalEndpoints', 'eins', { endpointStatus: 'Enabled', weight: 3 });
		await c.endpoints.update(...where, 'ExternalEndpoints', 'zwei', { endpointStatus: 'Enabled', weight: 1 });
	});
});
