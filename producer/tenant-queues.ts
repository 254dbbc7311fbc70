import type { Response } from 'express';
import type { InstanceQueue } from '../src/queue/instance-queue.ts';
import type { TenantQueue } from '../src/queue/tenant-queue.ts';
import { callerOf } from './access/caller.ts';

/** The queue as whoever asks sees it. */
export type QueueFor = (response: Response) => TenantQueue;

/** One view a tenant, made once: there are as many as keys. Without a caller it is the whole queue, nobody's. */
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
