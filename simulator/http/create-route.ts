import type { CreateFault } from '../faults/faults.ts';
import { refusal } from '../faults/refusals.ts';
import { responseObject } from '../response/response-object.ts';
import { admit, type CreateDeps, type Purchase, purchase } from './purchase.ts';
import { FROM_THE_BEGINNING, type Reply } from './reply.ts';

/**
 * createResponse answers `POST /v1/responses`: first the outages, then the create faults, then the purchase.
 */
export function createResponse(body: unknown, deps: CreateDeps): Reply {
  const admission = admit(body, deps);
  const { request, faults, countKey } = admission;
  const { create: fault } = faults;
  if (deps.outages.isDown(request.model.id)) return { kind: 'reset', run: undefined };
  const refused = deps.outages.refusalOf(request.model.id);
  if (refused) throw refused;
  if (!createsResponse(fault) && countKey !== undefined) deps.faultCounts.add(countKey);
  switch (fault) {
    case '400':
    case '429':
    case '429_bare':
    case '429_quota':
    case '500':
    case '503':
      throw refusal(fault, request.model.id, request.sim.numbers.sim_retry_after_ms);
    case '502_html':
      return { kind: 'html', status: 502 };
    case 'reset':
      return { kind: 'reset', run: undefined };
    case 'hang':
      return { kind: 'hang', run: undefined };
    case 'reset_created':
      return { kind: 'reset', run: purchase(admission, deps).run };
    case 'hang_created':
      return { kind: 'hang', run: purchase(admission, deps).run };
    case undefined:
      return firstReply(purchase(admission, deps));
    default: {
      const never: never = fault;
      return never;
    }
  }
}

/** Whether a response is created. If so, the purchase counts the fault, unless a limit refuses the create. */
function createsResponse(fault: CreateFault | undefined): boolean {
  return fault === undefined || fault === 'reset_created' || fault === 'hang_created';
}

function firstReply({ run, headers }: Purchase): Reply {
  const { background, stream, wantsObfuscation } = run.script.request;
  if (stream) {
    return { kind: 'stream', run, startingAfter: FROM_THE_BEGINNING, obfuscated: wantsObfuscation, headers };
  }
  if (!background) return { kind: 'wait', run, headers };
  // Always queued, even with no think time: a background create is answered before the response starts.
  return { kind: 'created', body: responseObject(run.script, { status: 'queued' }), headers };
}
