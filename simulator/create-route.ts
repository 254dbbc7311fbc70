import { admit, type CreateDeps, purchase } from './create.ts';
import { refusal } from './refusals.ts';
import { FROM_THE_BEGINNING, type Reply } from './reply.ts';
import { responseObject } from './response-object.ts';
import type { Run } from './run.ts';

/** `POST /v1/responses`: everything that can happen at the door, and what is bought there. */
export function createResponse(body: unknown, deps: CreateDeps): Reply {
  const admission = admit(body, deps);
  const { request, misbehaviour } = admission;
  const { door } = misbehaviour;
  switch (door) {
    case '400':
    case '429':
    case '429_bare':
    case '429_quota':
    case '500':
    case '503':
      throw refusal(door, request.model.id, request.wishes.numbers.sim_retry_after_ms);
    case '502_html':
      return { kind: 'html', status: 502 };
    case 'reset':
      return { kind: 'reset', run: undefined };
    case 'hang':
      return { kind: 'hang', run: undefined };
    case 'reset_created':
      return { kind: 'reset', run: purchase(admission, deps) };
    case 'hang_created':
      return { kind: 'hang', run: purchase(admission, deps) };
    case undefined:
      return firstReply(purchase(admission, deps));
    default: {
      const never: never = door;
      return never;
    }
  }
}

function firstReply(run: Run): Reply {
  const { background, stream, wantsObfuscation } = run.script.request;
  if (stream) {
    return { kind: 'stream', run, startingAfter: FROM_THE_BEGINNING, obfuscated: wantsObfuscation };
  }
  if (!background) return { kind: 'wait', run };
  // Queued, however short it thinks: a background create is answered before the response starts.
  return { kind: 'created', body: responseObject(run.script, { status: 'queued' }) };
}
