import { randomBytes } from 'node:crypto';
import { badRequest, invalidType, missingParameter } from '../api/errors.ts';
import { stringField } from '../api/fields.ts';
import { isObject, type JsonObject } from '../api/json.ts';
import type { Account } from '../request/account.ts';
import { countInputTokens, inputItems } from '../request/input.ts';
import type { Store } from '../response/store.ts';
import { tokensOf } from '../response/text.ts';
import type { Usage } from '../response/token-budget.ts';
import type { CreateDeps } from './purchase.ts';
import type { Reply } from './reply.ts';

/** What the summary of a conversation takes, in tokens, at most. */
const SUMMARY_TOKENS = 256;

/** countTokens answers `POST /v1/responses/input_tokens`. A request without a model is counted too. */
export function countTokens(input: unknown, account: Account, deps: CreateDeps): Reply {
  const { earlier, body } = read(input, account, deps);
  return json({
    object: 'response.input_tokens',
    input_tokens: countInputTokens({ ...body, input: earlier }),
  });
}

/**
 * compact answers `POST /v1/responses/compact`: the messages of the user, and one item that stands for
 * everything else. The item's content is random: the simulator remembers nothing of it.
 */
export function compact(input: unknown, account: Account, deps: CreateDeps): Reply {
  const { earlier, body } = read(input, account, deps);
  const name = stringField(body, 'model');
  if (name === undefined) throw missingParameter('model');
  const model = deps.settings.models.find(name);
  const refused = deps.outages.refusalOf(model.id);
  if (refused) throw refused;
  const id = `resp_${randomBytes(24).toString('hex')}`;
  const usage = usageOf(countInputTokens({ ...body, input: earlier }), earlier);
  deps.limits.take(model.id, usage.total_tokens);
  deps.ledger.count('compactions');
  return json({
    id,
    object: 'response.compaction',
    created_at: Math.floor(deps.now() / 1000),
    output: [
      ...inputItems(id, earlier).filter(({ type, role }) => type === 'message' && role === 'user'),
      {
        id: `cmp_${randomBytes(24).toString('hex')}`,
        type: 'compaction',
        encrypted_content: randomBytes(96).toString('base64'),
      },
    ],
    usage,
  });
}

/** Reads a body, and the items of the conversation that it continues. */
function read(
  body: unknown,
  account: Account,
  { settings, store }: CreateDeps,
): { body: JsonObject; earlier: readonly unknown[] } {
  if (!isObject(body)) throw invalidType('body', 'an object', body);
  const model = stringField(body, 'model');
  if (model !== undefined) settings.models.find(model);
  const input = body['input'] ?? undefined;
  if (input !== undefined && typeof input !== 'string' && !Array.isArray(input))
    throw invalidType('input', 'one of a string or array of items', input);
  const previous = stringField(body, 'previous_response_id');
  return { body, earlier: [...conversation(previous, store.of(account)), ...itemsOf(input)] };
}

/** Returns the input of a response and of all responses that it continues, the first one first. */
function conversation(id: string | undefined, store: Store): unknown[] {
  if (id === undefined) return [];
  if (!store.has(id)) {
    throw badRequest(`Previous response with id '${id}' not found.`, {
      param: 'previous_response_id',
      code: 'previous_response_not_found',
    });
  }
  const { body, previousResponseId } = store.find(id).script.request;
  const isKept = previousResponseId !== undefined && store.has(previousResponseId);
  return [...(isKept ? conversation(previousResponseId, store) : []), ...itemsOf(body['input'])];
}

function itemsOf(input: unknown): readonly unknown[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  return Array.isArray(input) ? input : [];
}

function usageOf(inputTokens: number, items: readonly unknown[]): Usage {
  const output = Math.min(SUMMARY_TOKENS, tokensOf(JSON.stringify(items)).length);
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + output,
  };
}

function json(body: object): Reply {
  return { kind: 'json', body };
}
