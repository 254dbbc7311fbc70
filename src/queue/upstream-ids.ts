import { QueueError } from '../errors/problem.ts';
import {
  continuationOf,
  type NamedResponse,
  type NamedUpstreamIds,
  namedResponses,
} from '../job/ids/named-responses.ts';
import { jobIdOf } from '../job/ids/response-id.ts';
import { findJob } from '../job-store/find.ts';
import type { QueueCore } from './queue-core.ts';

/**
 * UpstreamIds finds the upstream's ids of the responses that a body names. A caller may name a response by an
 * id of this queue, or by the upstream's own id if its tenant has bought the response.
 *
 * @param body a body of the Responses API.
 * @returns the ids that differ from those in the body, and the chain that the body continues.
 * @throws {QueueError} `invalid_request` when the caller has no such response, or it has no answer yet. Its
 * flaw names the field below `request`.
 */
export type UpstreamIds = (body: Readonly<Record<string, unknown>>) => Promise<NamedUpstreamIds>;

/** @param sees the tenant whose responses the caller may name; undefined: those of all tenants. */
export function createUpstreamIds(
  { queues, redis, guard }: QueueCore,
  sees: string | undefined,
): UpstreamIds {
  /** Without a caller, and for `admin`, any response of the upstream may be named. */
  const hasBought = async (upstreamId: string): Promise<boolean> => {
    if (sees === undefined) return true;
    const owners = await guard(() =>
      Promise.all([...queues.values()].map(({ keys }) => redis.get(keys.bought(upstreamId)))),
    );
    return owners.includes(sees);
  };
  const idsOf = async (named: NamedResponse): Promise<NamedUpstreamIds> => {
    const jobId = jobIdOf(named.id);
    const found = jobId === undefined ? null : await guard(() => findJob(queues, jobId, sees));
    if (found === null) {
      if (await hasBought(named.id)) return {};
      throw refusal(named, 'not found', 'expected the id of a response that your jobs have bought');
    }
    const { view, continuation } = found.reading;
    if (view.status === 'completed' && view.upstream_id !== null) {
      const chain =
        named.field === 'previous_upstream_id' ? continuationOf(view.id, continuation) : undefined;
      return { [named.field]: view.upstream_id, ...(chain !== undefined && { continuation: chain }) };
    }
    const state = `its job is ${view.status}`;
    throw refusal(
      named,
      `was expected to be completed, but ${state}`,
      `expected a completed response: ${state}`,
    );
  };
  return async (body) => {
    const ids: NamedUpstreamIds = {};
    for (const named of namedResponses(body)) Object.assign(ids, await idsOf(named));
    return ids;
  };
}

function refusal({ path, id }: NamedResponse, state: string, message: string): QueueError {
  const kind = path === 'previous_response_id' ? 'Previous' : 'Comparison';
  return new QueueError('invalid_request', `${kind} response with id '${id}' ${state}.`, {
    flaws: [{ path: `request.${path}`, message }],
  });
}
