import type { Response } from 'express';
import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { KnownCaller } from './keyring.ts';

/** setCaller remembers the caller of a request until it is answered. */
export function setCaller(response: Response, caller: KnownCaller): void {
  response.locals['caller'] = caller;
}

/**
 * callerOf returns the caller of a request; undefined when the instance has no keys or the route needs none.
 */
export function callerOf(response: Response): KnownCaller | undefined {
  return response.locals['caller'] as KnownCaller | undefined;
}

/** QueueFor returns the queue as the caller of a request sees it; without a caller, the whole queue. */
export type QueueFor = (response: Response) => TenantQueue;

/** createQueueFor makes one view of the queue for each tenant, when the tenant's first request comes. */
export function createQueueFor(queue: InstanceQueue): QueueFor {
  const views = new Map<string, TenantQueue>();
  return (response) => {
    const caller = callerOf(response);
    if (caller === undefined) return queue;
    const view = views.get(caller.tenant) ?? queue.as(caller);
    views.set(caller.tenant, view);
    return view;
  };
}
