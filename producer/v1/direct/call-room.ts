import { HttpProblem } from '../../http/http-problem.ts';

/** CallRoom bounds the calls that this producer makes to the upstream: each holds its body until it ends. */
export interface CallRoom {
  /**
   * Enters a call of a tenant. @returns a function that ends it.
   * @throws {HttpProblem} `too_many_requests`
   */
  enter(tenant: string): () => void;
}

/** How many calls may be under way at once. */
const MOST = 64;
/** How many of them one tenant may have. */
const MOST_OF_TENANT = 32;
const RETRY_S = 1;

export function createCallRoom(): CallRoom {
  const byTenant = new Map<string, number>();
  let all = 0;
  return {
    enter(tenant) {
      const own = byTenant.get(tenant) ?? 0;
      if (all >= MOST || own >= MOST_OF_TENANT) {
        throw new HttpProblem(
          'too_many_requests',
          `At most ${MOST_OF_TENANT} calls of one tenant, and ${MOST} in all, are handed to the upstream at ` +
            'once. Try again in a moment',
          { headers: { 'retry-after': String(RETRY_S) } },
        );
      }
      all += 1;
      byTenant.set(tenant, own + 1);
      return () => {
        all -= 1;
        const left = (byTenant.get(tenant) ?? 1) - 1;
        if (left === 0) byTenant.delete(tenant);
        else byTenant.set(tenant, left);
      };
    },
  };
}
