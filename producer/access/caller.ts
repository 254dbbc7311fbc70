import type { Response } from 'express';
import type { Caller } from '../../src/job/tenant.ts';

/** Who asks, from where a request is let in until it is answered. */
export function setCaller(response: Response, caller: Caller): void {
  response.locals['caller'] = caller;
}

/** undefined: this instance knows no keys, or the door is open to everybody. */
export function callerOf(response: Response): Caller | undefined {
  return response.locals['caller'] as Caller | undefined;
}
