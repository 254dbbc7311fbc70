import { alicesHead, bare, bytes, type HostileInput, problem } from './input.ts';

const JOB = '{"question":"Smuggled?"}';
const TYPE = 'Content-Type: application/json';
/** A whole request in the place of a body or a header. */
const INNER = `${alicesHead('POST', '/jobs', TYPE, `Content-Length: ${JOB.length}`)}${JOB}`;
const post = (...headers: string[]) => alicesHead('POST', '/jobs', TYPE, ...headers);
const filling = (length: number) => 'x'.repeat(length);

/**
 * Bytes that no HTTP client sends: requests that two servers read differently, and bytes that are not a
 * request.
 */
export const hostileBytes: HostileInput[] = [
  ['two lengths', bare(400), bytes(post('Content-Length: 24', 'Content-Length: 0'), INNER)],
  ['two lengths in one header', bare(400), bytes(post('Content-Length: 24, 0'), JOB)],
  [
    'a length and chunks',
    bare(400),
    bytes(post('Content-Length: 4', 'Transfer-Encoding: chunked'), `0\r\n\r\n${INNER}`),
  ],
  [
    'chunks and a length',
    bare(400),
    bytes(post('Transfer-Encoding: chunked', 'Content-Length: 4'), `0\r\n\r\n${INNER}`),
  ],
  ['a length below zero', bare(400), bytes(post('Content-Length: -1'), JOB)],
  ['a length with a sign', bare(400), bytes(post('Content-Length: +24'), JOB)],
  ['a length in words of mathematics', bare(400), bytes(post('Content-Length: 2e1'), JOB)],
  ['a length past 64 bits', bare(400), bytes(post('Content-Length: 18446744073709551617'), JOB)],
  [
    'chunks that are not the last coding',
    bare(400),
    bytes(post('Transfer-Encoding: chunked, identity'), INNER),
  ],
  ['a coding that is nearly chunked', bare(400), bytes(post('Transfer-Encoding: xchunked'), INNER)],
  ['chunks of a size that is none', bare(400), bytes(post('Transfer-Encoding: chunked'), 'zz\r\n', JOB)],
  [
    'chunks of a size past 64 bits',
    bare(400),
    bytes(post('Transfer-Encoding: chunked'), `${'f'.repeat(17)}\r\n`, JOB),
  ],
  [
    'a chunk that is longer than it says',
    bare(400),
    bytes(post('Transfer-Encoding: chunked'), `1\r\n${JOB}\r\n0\r\n\r\n`),
  ],
  [
    'a megabyte behind the size of a chunk',
    bare(413),
    bytes(post('Transfer-Encoding: chunked'), `1;${filling(1_000_000)}\r\n{\r\n`),
  ],
  ['a blank before a colon', bare(400), bytes(post('Content-Length : 24'), JOB)],
  ['a header on two lines', bare(400), bytes(post('X-Folded: a', ' Content-Length: 24'), JOB)],
  ['a header without a name', bare(400), bytes(post(': nothing', 'Content-Length: 24'), JOB)],
  ['a NUL in a header', bare(400), bytes(post('X-Nul: a\0b', 'Content-Length: 24'), JOB)],
  ['a NUL in a key', bare(400), bytes(post('Idempotency-Key: a\0b', 'Content-Length: 24'), JOB)],
  ['a carriage return in a key', bare(400), bytes(post('Idempotency-Key: a\rb', 'Content-Length: 24'), JOB)],
  [
    'a control character in a key',
    bare(400),
    bytes(post('Idempotency-Key: a\x01b', 'Content-Length: 24'), JOB),
  ],
  [
    'a tab in a key',
    problem(400, 'invalid_request'),
    bytes(post('Idempotency-Key: a\tb', 'Content-Length: 24'), JOB),
  ],
  [
    'a key that is not ASCII',
    problem(400, 'invalid_request'),
    bytes(post('Idempotency-Key: caf\xe9', 'Content-Length: 24'), JOB),
  ],
  ['lines without a carriage return', bare(400), bytes(post('Content-Length: 24').replaceAll('\r', ''), JOB)],
  ['a NUL in a path', bare(400), bytes(alicesHead('GET', '/jobs/a\0b'))],
  [
    'a line break in a path',
    problem(404, 'job_not_found'),
    bytes(alicesHead('GET', '/jobs/a\r\nX-Forwarded-User: admin')),
  ],
  ['a blank in a path', bare(400), bytes(alicesHead('GET', '/jobs/a b'))],
  ['no host', bare(400), bytes('GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n')],
  ['a version that is none', bare(400), bytes('GET /jobs HTTP/9.9\r\nHost: HOST\r\n\r\n')],
  ['HTTP/2 without asking', bare(400), bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['a method that is none', bare(400), bytes(alicesHead('STEAL', '/jobs'))],
  ['TLS', bare(400), bytes(Buffer.from('160301020001000101fc0303', 'hex'))],
  ['noise', bare(400), bytes(Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 256)))],
  ['what Redis would obey', bare(400), bytes('*1\r\n$8\r\nFLUSHALL\r\n')],
  [
    'a megabyte of headers',
    bare(431),
    bytes(post(...Array.from({ length: 1000 }, (_, i) => `X-${i}: ${filling(1000)}`))),
  ],
  ['one header of 20 kB', bare(431), bytes(post(`X-Long: ${filling(20_000)}`), JOB)],
  ['a path of 20 kB', bare(431), bytes(alicesHead('GET', `/jobs/${filling(20_000)}`))],
  ['an unknown expectation', bare(417), bytes(post('Expect: miracles', 'Content-Length: 24'), JOB)],
  [
    'a request in the body of another',
    problem(404, 'route_not_found'),
    (world) => {
      const inner = INNER.replaceAll('HOST', new URL(world.url).host);
      return bytes(alicesHead('POST', '/nothing', TYPE, `Content-Length: ${inner.length}`), inner)(world);
    },
  ],
  // A producer is not a proxy: neither for a URI with another host nor for a tunnel.
  [
    'a URI of the cloud’s metadata',
    problem(404, 'route_not_found'),
    bytes(alicesHead('GET', 'http://169.254.169.254/latest/meta-data/')),
  ],
  [
    'a URI of the receiver',
    problem(404, 'route_not_found'),
    (world) => bytes(alicesHead('POST', world.receiverUrl))(world),
  ],
  [
    'a URI of this host, with its user',
    problem(401, 'unauthorized'),
    bytes('GET http://admin:admin@HOST/jobs HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n'),
  ],
  [
    'an upgrade to what we do not speak',
    problem(426, 'upgrade_required'),
    bytes('GET /jobs HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n'),
  ],
  [
    'a key that is right after one that is wrong',
    problem(401, 'unauthorized'),
    bytes(
      alicesHead('GET', '/jobs').replace('Authorization', 'Authorization: Bearer wrong\r\nAuthorization'),
    ),
  ],
];
