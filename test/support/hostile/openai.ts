import { Webhook } from 'standardwebhooks';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import {
  bearer,
  by,
  type HostileInput,
  KEYS,
  keyless,
  OPENAI_SECRET,
  openAi,
  problem,
  type Send,
  TAKEN_KEY,
} from './input.ts';

const invalid = openAi(400, null);
const noKey = openAi(401, 'invalid_api_key');
const noModel = openAi(404, 'model_not_found');
const asked = { model: 'o3', input: 'Why?', background: true };
/**
 * The header in which OpenAI's SDKs count tries. The queue then remembers the request, but must not after a
 * refusal.
 */
const FROM_SDK = { 'x-stainless-retry-count': '0' };

const create = (body: unknown, headers: Record<string, string> = {}): Send =>
  by('alice', 'POST', '/v1/responses', { body, headers });
const ofResponse =
  (method: string, rest: string): Send =>
  (world) =>
    by('alice', method, `/v1/responses/${responseIdOf(world.jobs.response)}${rest}`)(world);

const responses: HostileInput[] = [
  ['a model that is not here', noModel, create({ ...asked, model: 'gpt-9' })],
  ['a model that is not here, from an SDK', noModel, create({ ...asked, model: 'gpt-9' }, FROM_SDK)],
  [
    'a model that is not here, from an SDK that tries again',
    noModel,
    create({ ...asked, model: 'gpt-9' }, { 'x-stainless-retry-count': '1' }),
  ],
  ['the model __proto__', noModel, create({ ...asked, model: '__proto__' })],
  ['a model that is a number', invalid, create({ ...asked, model: 3 })],
  ['no input', invalid, create({ model: 'o3' })],
  ['an input that is a number', invalid, create({ ...asked, input: 3 })],
  [
    'an input of 100,000 brackets',
    invalid,
    create(`{"model":"o3","input":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
  ],
  ['an instruction to stream that is a text', invalid, create({ ...asked, stream: 'yes' })],
  ['a background that is a number', invalid, create({ ...asked, background: 1 })],
  [
    'metadata of 17 pairs',
    invalid,
    create({ ...asked, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) }),
  ],
  ['metadata of __proto__', invalid, create('{"model":"o3","input":"Why?","metadata":{"__proto__":"v"}}')],
  ['JSON that is cut off', invalid, create('{"model":"o3"')],
  [
    'bytes that are no UTF-8',
    invalid,
    create(Buffer.from('{"model":"o3","input":"\xff"}', 'latin1'), { 'content-type': 'application/json' }),
  ],
  ['a list', invalid, create([asked])],
  ['no JSON', invalid, create('model=o3&input=Why', { 'content-type': 'application/x-www-form-urlencoded' })],
  [
    '11 MB',
    openAi(413, 'body_too_large'),
    (world) => create({ ...asked, input: 'x'.repeat(11 * 1024 * 1024) })(world),
  ],
  ['a priority below zero', invalid, create(asked, { 'o3q-priority': '-1' })],
  ['a priority past what BullMQ holds', invalid, create(asked, { 'o3q-priority': '999999999' })],
  ['a delay of words', invalid, create(asked, { 'o3q-delay-ms': '1e3' })],
  ['a delay of 30,000 years', invalid, create(asked, { 'o3q-delay-ms': '999999999999999' })],
  [
    'a webhook to this machine',
    invalid,
    (world) => create(asked, { 'o3q-webhook-url': world.receiverUrl })(world),
  ],
  [
    'a webhook to this machine, from an SDK',
    invalid,
    (world) => create(asked, { ...FROM_SDK, 'o3q-webhook-url': world.receiverUrl })(world),
  ],
  [
    'a webhook to the cloud’s metadata',
    invalid,
    create(asked, { 'o3q-webhook-url': 'http://169.254.169.254/' }),
  ],
  ['a key of 256 characters', invalid, create(asked, { 'idempotency-key': 'k'.repeat(256) })],
  ['an empty key', invalid, create(asked, { 'idempotency-key': '' })],
  [
    'the key of another request',
    openAi(409, 'idempotency_key_reused'),
    create(asked, { 'idempotency-key': TAKEN_KEY }),
  ],
  [
    'a previous response that is not over',
    openAi(400, 'previous_response_not_found'),
    (world) => create({ ...asked, previous_response_id: responseIdOf(world.jobs.waiting) })(world),
  ],
  [
    'a previous response that was cancelled',
    openAi(400, 'previous_response_not_found'),
    (world) => create({ ...asked, previous_response_id: responseIdOf(world.jobs.cancelled) })(world),
  ],
  [
    'starting_after below zero',
    openAi(400, 'invalid_type'),
    ofResponse('GET', '?stream=true&starting_after=-1'),
  ],
  [
    'starting_after of words',
    openAi(400, 'invalid_type'),
    ofResponse('GET', '?stream=true&starting_after=first'),
  ],
  [
    'two of starting_after',
    openAi(400, 'invalid_type'),
    ofResponse('GET', '?stream=true&starting_after=1&starting_after=2'),
  ],
  ['a limit below zero', openAi(400, 'invalid_value'), ofResponse('GET', '/input_items?limit=-1')],
  ['a limit of a billion', openAi(400, 'invalid_value'), ofResponse('GET', '/input_items?limit=1e9')],
  ['two limits', openAi(400, 'invalid_value'), ofResponse('GET', '/input_items?limit=1&limit=2')],
  ['items after one that is not there', invalid, ofResponse('GET', '/input_items?after=__proto__')],
  ['forgetting what is not over', invalid, ofResponse('DELETE', '')],
  ['a method that is none', openAi(405, 'method_not_allowed'), ofResponse('PATCH', '')],
  ['an id with a NUL', openAi(404, null), by('alice', 'GET', '/v1/responses/resp_%00')],
  [
    'an id of our keys',
    openAi(404, null),
    by('alice', 'GET', `/v1/responses/resp_x${Buffer.from('meta').toString('hex')}`),
  ],
  ['an id that climbs', openAi(404, null), by('alice', 'GET', '/v1/responses/..%2f..%2fjobs')],
  ['an id that cannot be decoded', invalid, by('alice', 'GET', '/v1/responses/%c0%ae')],
  ['a model to look up that is a prototype', noModel, by('alice', 'GET', '/v1/models/__proto__')],
  [
    'a path of OpenAI’s that is not here',
    openAi(404, 'route_not_found'),
    by('alice', 'POST', '/v1/embeddings', { body: asked }),
  ],
  ['no key', noKey, keyless('POST', '/v1/responses', { body: asked })],
  [
    'an empty key of the caller',
    noKey,
    keyless('POST', '/v1/responses', { body: asked, headers: bearer('') }),
  ],
  [
    'an unknown key',
    noKey,
    keyless('POST', '/v1/responses', { body: asked, headers: bearer('sk-nobody-1234567890') }),
  ],
  ['a key in the query', noKey, keyless('POST', `/v1/responses?api_key=${KEYS.alice}`, { body: asked })],
];

const chat = (more: unknown): Send =>
  by('alice', 'POST', '/v1/chat/completions', {
    body: typeof more === 'object' && !Array.isArray(more) ? { ...chatted, ...more } : more,
  });
const chatted = { model: 'o3', messages: [{ role: 'user', content: 'Why?' }] };

const chats: HostileInput[] = [
  ['no messages', openAi(400, 'missing_required_parameter'), chat({ messages: undefined })],
  ['messages that are a text', openAi(400, 'invalid_type'), chat({ messages: 'Why?' })],
  ['a list', invalid, chat([chatted])],
  ['a model that is not here', noModel, chat({ model: '__proto__' })],
  ['a model that is a number', invalid, chat({ model: 3 })],
  ['what cannot be carried', openAi(400, 'unsupported_parameter'), chat({ stop: 'END' })],
  ['a parameter that is unknown', openAi(400, 'unknown_parameter'), chat({ input: 'Why?' })],
  ['the parameter __proto__', openAi(400, 'unknown_parameter'), chat('{"messages":[],"__proto__":{"a":1}}')],
  [
    'messages of 100,000 brackets',
    openAi(400, 'invalid_type'),
    chat(`{"messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
  ],
  [
    'a schema of 100,000 brackets',
    invalid,
    chat(
      `{"messages":[{"role":"user","content":"Why?"}],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}}}`,
    ),
  ],
  [
    'metadata of __proto__',
    invalid,
    chat('{"messages":[{"role":"user","content":"Why?"}],"metadata":{"__proto__":"v"}}'),
  ],
  ['an instruction to stream that is a text', openAi(400, 'invalid_type'), chat({ stream: 'yes' })],
  ['11 MB', openAi(413, 'body_too_large'), (world) => chat({ user: 'x'.repeat(11 * 1024 * 1024) })(world)],
  ['a lookup', openAi(404, 'route_not_found'), by('alice', 'GET', '/v1/chat/completions/chatcmpl-1')],
  ['no key', noKey, keyless('POST', '/v1/chat/completions', { body: chatted })],
  ['no key for a lookup', noKey, keyless('GET', '/v1/chat/completions')],
];

const ID = 'wh_hostile';
const EVENT = { type: 'response.completed', data: { id: 'resp_68c0a1f2b3d4' } };

interface Forgery {
  secret?: string;
  ageMs?: number;
  /** The id of the signed webhook. */
  signedId?: string;
  headers?: Record<string, string>;
}

/** Webhooks that pretend to come from OpenAI. */
function webhook(
  content: unknown,
  { secret = OPENAI_SECRET, ageMs = 0, signedId = ID, headers }: Forgery = {},
): Send {
  return (world) => {
    const sentAt = new Date(Date.now() - ageMs);
    const body = typeof content === 'string' ? content : JSON.stringify(content);
    const signed = {
      'webhook-id': ID,
      'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign(signedId, sentAt, body),
    };
    return keyless('POST', '/webhooks/openai', { body, headers: { ...signed, ...headers } })(world);
  };
}

const forged = problem(400, 'invalid_signature');
const refused = problem(400, 'invalid_request');
const webhooks: HostileInput[] = [
  ['unsigned', forged, keyless('POST', '/webhooks/openai', { body: EVENT })],
  [
    'signed with another secret',
    forged,
    webhook(EVENT, { secret: `whsec_${Buffer.from('some quite different secret').toString('base64')}` }),
  ],
  ['six minutes old', forged, webhook(EVENT, { ageMs: 360_000 })],
  ['six minutes young', forged, webhook(EVENT, { ageMs: -360_000 })],
  ['with the signature of another id', forged, webhook(EVENT, { signedId: 'wh_other' })],
  ['with an empty signature', forged, webhook(EVENT, { headers: { 'webhook-signature': 'v1,' } })],
  ['with an unknown version', forged, webhook(EVENT, { headers: { 'webhook-signature': 'v9,aGVsbG8=' } })],
  ['with a time that is none', forged, webhook(EVENT, { headers: { 'webhook-timestamp': 'NaN' } })],
  ['that is no JSON', problem(400, 'malformed_json'), webhook('{"type":')],
  ['that is no event', refused, webhook([EVENT])],
  ['of a response that is none', refused, webhook({ ...EVENT, data: { id: 'a b\r\nc' } })],
  ['of a response of 201 characters', refused, webhook({ ...EVENT, data: { id: 'r'.repeat(201) } })],
  ['of 101 kB', problem(413, 'body_too_large'), webhook({ ...EVENT, filling: 'x'.repeat(101 * 1024) })],
];

/** Requests that /v1 refuses in OpenAI's format, and forged webhooks of OpenAI. */
export const hostileToOpenAi: HostileInput[] = [
  ...responses.map(([name, ...rest]): HostileInput => [`/v1: ${name}`, ...rest]),
  ...chats.map(([name, ...rest]): HostileInput => [`/v1/chat/completions: ${name}`, ...rest]),
  ...webhooks.map(([name, ...rest]): HostileInput => [`a webhook ${name}`, ...rest]),
];
