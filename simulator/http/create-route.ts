import type { CreateFault } from '../faults/faults.ts';
import { ODD_REPLIES } from '../faults/odd-replies.ts';
import { refusal } from '../faults/refusals.ts';
import type { Account } from '../request/account.ts';
import { windowsUnknown } from '../request/completion-window.ts';
import { responseObject } from '../response/response-object.ts';
import { admit, type CreateDeps, lackReply, type Purchase, purchase } from './purchase.ts';
import { FROM_THE_BEGINNING, type Reply } from './reply.ts';

/**
 * createResponse answers `POST /v1/responses`: first the outages, then the create faults, then the purchase.
 */
export function createResponse(body: unknown, account: Account, deps: CreateDeps): Reply {
  const admission = admit(body, account, deps);
  const { request, faults, countKey } = admission;
  const { create: fault } = faults;
  const lack = lackReply(admission, deps);
  if (lack !== undefined) return { kind: 'odd', reply: lack };
  if (deps.outages.isDown(request.model.id)) return { kind: 'reset', run: undefined };
  const refused = deps.outages.refusalOf(request.model.id);
  if (refused) throw refused;
  const odd = deps.outages.oddReplyOf(request.model.id);
  if (odd !== undefined) return { kind: 'odd', reply: odd };
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
    case '200_error':
    case '200_html':
    case '400_billing':
    case '400_busy':
    case '401':
    case '401_organization':
    case '402':
    case '403_html':
    case '404_path':
    case '422_detail':
    case '429_hour':
    case '429_large':
    case '429_zero':
    case '498':
      return { kind: 'odd', reply: ODD_REPLIES[fault] };
    case 'refuse':
      return { kind: 'odd', reply: request.sim.refusal };
    case 'window_refused':
      throw windowsUnknown();
    case 'reset':
      return { kind: 'reset', run: undefined };
    case 'hang':
      return { kind: 'hang', run: undefined };
    case 'reset_created':
      return { kind: 'reset', run: purchase(admission, deps).run };
    case 'hang_created':
      return { kind: 'hang', run: purchase(admission, deps).run };
    case undefined:
      return firstReply(purchase(admission, deps), deps.settings.background === 'late');
    default: {
      const never: never = fault;
      return never;
    }
  }
}

/**
 * Returns whether a create with this fault still creates a response. The purchase then counts the fault,
 * unless a limit refuses the create.
 */
function createsResponse(fault: CreateFault | undefined): boolean {
  return fault === undefined || fault === 'reset_created' || fault === 'hang_created';
}

function firstReply({ run, headers }: Purchase, isLate: boolean): Reply {
  const { background, stream, wantsObfuscation } = run.script.request;
  if (isLate) return { kind: 'wait', run, headers };
  if (stream) {
    return { kind: 'stream', run, startingAfter: FROM_THE_BEGINNING, obfuscated: wantsObfuscation, headers };
  }
  if (!background) return { kind: 'wait', run, headers };
  // The status is always `queued`, even without think time: OpenAI answers a background create before the
  // response starts.
  return { kind: 'created', body: responseObject(run.script, { status: 'queued' }), headers };
}
