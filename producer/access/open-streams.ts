import type { Models } from '../../src/config/file.ts';
import type { Caller } from '../../src/job/tenant.ts';
import { HttpProblem } from '../http/http-problem.ts';

/** When to try again, in seconds: one of the tenant's streams may have ended by then. */
const RETRY_S = 5;

/** OpenStreams counts the event streams that this process keeps open for each tenant with a limit. */
export interface OpenStreams {
  /**
   * open counts a stream of the caller until `closed` aborts.
   *
   * @throws {HttpProblem} `too_many_streams`
   */
  open(caller: Caller | undefined, closed: AbortSignal): void;
}

export function createOpenStreams(tenants: Models['tenants']): OpenStreams {
  const open = new Map<string, number>();
  return {
    open(caller, closed) {
      if (caller === undefined || !Object.hasOwn(tenants, caller.tenant)) return;
      const { tenant } = caller;
      const { maxStreams } = tenants[tenant] ?? {};
      if (maxStreams === undefined || closed.aborted) return;
      const count = open.get(tenant) ?? 0;
      if (count >= maxStreams) {
        throw new HttpProblem(
          'too_many_streams',
          `${tenant} has ${count} open event streams at this producer, and may have ${maxStreams}. Close some, ` +
            'ask for the result with ?wait, or raise maxStreams in o3q.config.json',
          { headers: { 'retry-after': String(RETRY_S), 'retry-after-ms': String(RETRY_S * 1000) } },
        );
      }
      open.set(tenant, count + 1);
      closed.addEventListener('abort', () => open.set(tenant, (open.get(tenant) ?? 1) - 1), { once: true });
    },
  };
}
