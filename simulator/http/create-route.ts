import type { DoorFault } from '../faults/faults.ts';
import { refusal } from '../faults/refusals.ts';
import { admit, type CreateDeps, type Purchase, purchase } from '../request/create.ts';
import { responseObject } from '../response/response-object.ts';
import { FROM_THE_BEGINNING, type Reply } from './reply.ts';

/** `POST /v1/responses`: the weather, then everything that can happen at the door, and what is bought there. */
export function createResponse(body: unknown, deps: CreateDeps): Reply {
  const admission = admit(body, deps);
  const { request, misbehaviour, turn } = admission;
  const { door } = misbehaviour;
  if (deps.weather.isDown(request.model.id)) return { kind: 'reset', run: undefined };
  const badWeather = deps.weather.refusalOf(request.model.id);
  if (badWeather) throw badWeather;
  if (!isSold(door) && turn !== undefined) deps.turns.use(turn);
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
      return { kind: 'reset', run: purchase(admission, deps).run };
    case 'hang_created':
      return { kind: 'hang', run: purchase(admission, deps).run };
    case undefined:
      return firstReply(purchase(admission, deps));
    default: {
      const never: never = door;
      return never;
    }
  }
}

/** Whether a response is made: then the purchase uses up the turn, unless a limit forbids it. */
function isSold(door: DoorFault | undefined): boolean {
  return door === undefined || door === 'reset_created' || door === 'hang_created';
}

function firstReply({ run, headers }: Purchase): Reply {
  const { background, stream, wantsObfuscation } = run.script.request;
  if (stream) {
    return { kind: 'stream', run, startingAfter: FROM_THE_BEGINNING, obfuscated: wantsObfuscation, headers };
  }
  if (!background) return { kind: 'wait', run, headers };
  // Queued, however short it thinks: a background create is answered before the response starts.
  return { kind: 'created', body: responseObject(run.script, { status: 'queued' }), headers };
}
