// SPDX-License-Identifier: MIT
//
// The Node gRPC client (@grpc/grpc-js) against a daemon.
//
//   node client.js ADDRESS services   every service, once; needs the groups
//                                     default and many
//   node client.js ADDRESS calls      Get with wait-for-ready until a line
//                                     comes on stdin; then prints how many
//                                     there were
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const ROOT = path.join(__dirname, '..', '..');
const TIMEOUT_MS = Number(process.env.KAMA_TEST_TIMEOUT_MS || 20000);

function load() {
  const definition = protoLoader.loadSync(
    ['kama/v1/kama.proto', 'kama/v2/cache.proto',
      'grpc/health/v1/health.proto',
      'grpc/reflection/v1/reflection.proto'],
    {
      includeDirs: [path.join(ROOT, 'proto'), '/usr/share/grpc-proto'],
      keepCase: true,
      longs: Number,
      enums: String,
      defaults: true,
      oneofs: true,
    });
  return grpc.loadPackageDefinition(definition);
}

const packages = load();

function connect(Service, address) {
  return new Service(address, grpc.credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
  });
}

// The loader takes a string for a bytes field as base64.
function bytes(text) {
  return Buffer.from(text);
}

// A unary call as a promise.
function call(client, method, request, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + TIMEOUT_MS;
    client[method](request, metadata, { deadline }, (error, reply) => {
      if (error) {
        reject(error);
      } else {
        resolve(reply);
      }
    });
  });
}

// The first message of a stream as a promise.
function first(stream) {
  return new Promise((resolve, reject) => {
    stream.once('data', resolve);
    stream.once('error', reject);
  });
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.code, error.metadata.get('kama-status')[0]];
  }
  throw new Error('the call did not fail');
}

async function testV1(address) {
  const client = connect(packages.kama.v1.KamaCacheService, address);
  await call(client, 'Set',
    { group: 'default', key: 'Tom', value: bytes('630') });
  const reply = await call(client, 'Get', { group: 'default', key: 'Tom' });
  assert.deepEqual(reply.value, Buffer.from('630'));
  const big = Buffer.alloc(1 << 20, 7);
  await call(client, 'Set', { key: 'big', value: big });
  assert.deepEqual((await call(client, 'Get', { key: 'big' })).value, big);
  assert.equal((await call(client, 'Delete', { key: 'Tom' })).value, true);
  assert.equal((await call(client, 'Delete', { key: 'Tom' })).value, false);
  assert.deepEqual(await failure(call(client, 'Get', { key: 'Tom' })),
    [grpc.status.NOT_FOUND, 'KAMA_MISS']);
  assert.deepEqual(
    await failure(call(client, 'Get', { group: 'nowhere', key: 'k' })),
    [grpc.status.NOT_FOUND, 'KAMA_ERR_NO_GROUP']);
  const calls = [];
  for (let i = 0; i < 300; i++) {
    calls.push(call(client, 'Set', { key: `k${i}`, value: bytes(`${i}`) }));
  }
  await Promise.all(calls);
  const values = await Promise.all(
    calls.map((_, i) => call(client, 'Get', { key: `k${i}` })));
  values.forEach((got, i) => assert.equal(String(got.value), `${i}`));
  client.close();
}

async function testV2(address) {
  const client = connect(packages.kama.v2.Cache, address);
  const key = Buffer.from([0xff, 0, 0xfe]);
  await call(client, 'Set', { key, value: Buffer.alloc(0), ttl_ms: -1 });
  const reply = await call(client, 'Get', { key });
  assert.equal(reply.found, true);
  assert.equal(reply.ttl_ms, -1);
  assert.equal(reply.value.length, 0);
  assert.equal((await call(client, 'Get', { key: bytes('no') })).found, false);
  const { items } = await call(client, 'MGet', { keys: [bytes('no'), key] });
  assert.deepEqual(items.map((item) => item.status),
    ['KAMA_MISS', 'KAMA_OK']);
  assert.equal((await call(client, 'Ping', {})).service, 'kama-cache');
  const { groups } = await call(client, 'Groups', {});
  assert.deepEqual(groups.map((group) => group.name), ['default', 'many']);
  const hot = await call(client, 'HotKeys', { limit: 1 });
  assert.ok(hot.keys[0].gets_per_s > 0);
  assert.deepEqual(await failure(first(client.Monitor({}))),
    [grpc.status.UNIMPLEMENTED, 'KAMA_ERR_UNSUPPORTED']);
  await testScan(client);
  client.close();
}

async function testScan(client) {
  const sets = [];
  for (let i = 0; i < 2000; i++) {
    sets.push(call(client, 'Set',
      { group: 'many', key: bytes(`key:${i}`), value: bytes('v') }));
  }
  await Promise.all(sets);
  const keys = new Set();
  const scan = client.Scan({ group: 'many', glob: bytes('key:*') });
  for await (const reply of scan) {
    reply.entries.forEach((entry) => keys.add(String(entry.key)));
  }
  assert.equal(keys.size, 2000);
  const { groups } = await call(client, 'Stats', { group: 'many' });
  assert.equal(groups[0].sets, 2000);
  assert.equal(groups[0].entries, 2000);
}

async function testHealth(address) {
  const client = connect(packages.grpc.health.v1.Health, address);
  for (const service of ['', 'kama.v2.Cache', 'kama-cache']) {
    const reply = await call(client, 'Check', { service });
    assert.equal(reply.status, 'SERVING');
  }
  assert.equal((await failure(call(client, 'Check', { service: 'x' })))[0],
    grpc.status.NOT_FOUND);
  const watch = client.Watch({ service: '' });
  assert.equal((await first(watch)).status, 'SERVING');
  watch.on('error', () => {});
  watch.cancel();
  client.close();
}

async function testReflection(address) {
  const client = connect(packages.grpc.reflection.v1.ServerReflection,
    address);
  const stream = client.ServerReflectionInfo();
  const replies = stream[Symbol.asyncIterator]();
  stream.write({ list_services: '' });
  const listed = (await replies.next()).value.list_services_response.service;
  assert.deepEqual(listed.map((service) => service.name).sort(), [
    'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection',
    'grpc.reflection.v1alpha.ServerReflection', 'kama.peer.v1.Peer',
    'kama.v1.KamaCacheService', 'kama.v2.Cache']);
  stream.write({ file_containing_symbol: 'kama.v1.KamaCacheService.Get' });
  const files = (await replies.next()).value.file_descriptor_response;
  assert.equal(files.file_descriptor_proto.length, 1);
  stream.end();
  assert.equal((await replies.next()).done, true);
  client.close();
}

async function services(address) {
  await testV1(address);
  await testV2(address);
  await testHealth(address);
  await testReflection(address);
  console.log('ok');
}

// One call after the other, also while nobody listens.
async function calls(address) {
  const client = connect(packages.kama.v1.KamaCacheService, address);
  const metadata = new grpc.Metadata({ waitForReady: true });
  let stop = false;
  let count = 0;
  process.stdin.once('data', () => { stop = true; });
  while (!stop) {
    await call(client, 'Set', { key: 'k', value: bytes('v') },
      metadata);
    count++;
    if (count === 1) {
      console.log('running');
    }
  }
  console.log(count);
  process.stdin.destroy();
  client.close();
}

const modes = { services, calls };
modes[process.argv[3]](process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
