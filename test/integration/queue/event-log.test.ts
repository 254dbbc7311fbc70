import { UnrecoverableError } from 'bullmq';
import { createEventLogReader, LogBatch, type LogEntry } from '../../../src/events/event-log.ts';
import { appendToEventLog } from '../../../src/lua/run.ts';
import { LockLostError } from '../../../src/run/purchase-hold.ts';
import { sweepRetention } from '../../../worker/maintenance/retention.ts';
import { eventually } from '../../support/eventually.ts';
import { COMPLETED, FAILED, useRecordWorld } from '../../support/worlds/record-world.ts';

const world = useRecordWorld();

const MEGABYTE = 1024 * 1024;

/** An entry as a worker writes it, with these deltas one after the other. */
function said(...texts: string[]): { events: string } {
  const batch = new LogBatch();
  for (const delta of texts) {
    batch.add({
      type: 'response.output_text.delta',
      item_id: 'msg_1',
      output_index: 0,
      content_index: 0,
      delta,
    });
  }
  return { events: batch.take() };
}

async function entriesOf(id: string): Promise<LogEntry[]> {
  const read = createEventLogReader();
  return (await world.redis.xrange(world.o3.keys.eventLog(id), '-', '+')).map(([, fields]) => read(fields));
}

/** The entries of the event log, as one line each. */
async function linesOf(id: string): Promise<string[]> {
  return (await entriesOf(id)).map(
    ({ attempt, events, reason }) => `${attempt} ${reason ?? events.map(({ delta }) => delta).join('')}`,
  );
}

const cursorOf = (id: string): Promise<string | null> => world.redis.hget(world.o3.keys.run(id), 'cursor');
/** The time to live in milliseconds; -1: none. */
const ttlOf = (key: string): Promise<number> => world.redis.pttl(key);

it('an entry and the cursor are written in one step and announced to listeners', async () => {
  const { id, writer } = await world.begun();
  const listener = world.redis.duplicate();
  const heard: string[] = [];
  listener.on('message', (_channel, message: string) => heard.push(message));
  await listener.subscribe(world.o3.keys.eventLog(id));
  await writer.append(said('It ', 'is '), { cursor: 5, upstreamStatus: 'in_progress' });
  await writer.append(said('dark.'), { cursor: 9 });
  expect(await linesOf(id)).toEqual(['1 It is ', '1 dark.']);
  expect(await cursorOf(id)).toBe('9');
  await eventually(() => expect(heard).toEqual(['entry', 'entry']));
  listener.disconnect();
});

it('an append without events writes the cursor only, and announces nothing', async () => {
  const { id, writer } = await world.begun();
  await writer.append({ events: '' }, { cursor: 3 });
  expect(await world.redis.exists(world.o3.keys.eventLog(id))).toBe(0);
  expect(await cursorOf(id)).toBe('3');
});

it('an unknown cursor is not written as the first one', async () => {
  const { writer } = await world.begun();
  await writer.append(said('x'), { cursor: undefined });
  expect((await writer.read()).cursor).toBeUndefined();
});

it('an entry that is sent again after a lost reply is written once', async () => {
  const { id, writer } = await world.begun();
  const { events } = said('twice?');
  const again = (): Promise<unknown> =>
    appendToEventLog.run(world.redis, {
      keys: {
        lock: world.o3.keys.lock(id),
        run: world.o3.keys.run(id),
        eventLog: world.o3.keys.eventLog(id),
      },
      args: {
        ...{ lockToken: 'a', entryId: 'writer:1', previousEntryId: '' },
        ...{ newEvents: events, reason: '', mostBytes: MEGABYTE },
      },
      rest: ['cursor', '7'],
    });
  expect([await again(), await again()]).toEqual(['ok', 'ok']);
  expect(await linesOf(id)).toEqual(['1 twice?']);
  expect(await world.redis.hget(world.o3.keys.run(id), 'event_log_bytes')).toBe(String(events.length));
  expect((await writer.read()).cursor).toBe(7);
});

it('a worker that gets the job again with the same lock token writes new entries', async () => {
  const { id, job, writer } = await world.begun();
  await writer.append(said('first'), {});
  const second = world.writerOf(job, 'a');
  await second.append({ reason: 'the first one failed' }, {});
  await second.append(said('second'), {});
  expect(await linesOf(id)).toEqual(['1 first', '1 the first one failed', '1 second']);
});

it('only the holder of the lock appends to the event log', async () => {
  const { id, job, writer } = await world.begun();
  await writer.append(said('mine'), { cursor: 1 });
  const other = world.writerOf(job, 'b');
  await expect(other.append(said('theirs'), { cursor: 2 })).rejects.toThrow(LockLostError);
  expect(await linesOf(id)).toEqual(['1 mine']);
  expect(await cursorOf(id)).toBe('1');
});

it.each([
  ['completed', COMPLETED],
  ['failed', FAILED],
])(
  'nothing is appended after the job has %s, so that a reader of its event log has read all of it',
  async (_how, end) => {
    const { id, writer } = await world.begun();
    await writer.append(said('in time'), { cursor: 1 });
    await writer.finish(end);
    expect(await writer.append(said('too late'), { cursor: 2 })).toEqual({ cancelRequested: false });
    expect(await linesOf(id)).toEqual(['1 in time']);
    expect(await cursorOf(id)).toBe('1');
  },
);

it('an append says that a cancel has been requested', async () => {
  const { id, writer } = await world.begun();
  await world.queue.cancel(id);
  expect(await writer.append(said('more'), {})).toEqual({ cancelRequested: true });
});

it('an event log that is too large takes no more events, but cursor and attempts', async () => {
  const { id, writer } = await world.begun();
  const big = 'x'.repeat(5 * MEGABYTE);
  await writer.append(said(big), { cursor: 1 });
  await writer.append(said(big), { cursor: 2 });
  await writer.append(said('small'), { cursor: 3 });
  await writer.append({ reason: 'another attempt' }, {});
  expect((await linesOf(id)).map((line) => line.slice(0, 20))).toEqual([
    `1 ${'x'.repeat(18)}`,
    '1 another attempt',
  ]);
  expect(await cursorOf(id)).toBe('3');
});

it('after Redis has lost an entry no event is appended behind the hole', async () => {
  const { id, writer } = await world.begun();
  await writer.append(said('one '), { cursor: 1 });
  const [eventLog, run] = [world.o3.keys.eventLog(id), world.o3.keys.run(id)];
  const kept = await world.redis.hgetall(run);
  await writer.append(said('two '), { cursor: 2 });
  // As after a failover to a replica that was behind.
  const [, lost] = await world.redis.xrange(eventLog, '-', '+');
  await world.redis
    .multi()
    .xdel(eventLog, lost?.[0] ?? '')
    .del(run)
    .hset(run, kept)
    .exec();
  await writer.append(said('three '), { cursor: 3 });
  await writer.append(said('four'), { cursor: 4 });
  expect(await linesOf(id)).toEqual(['1 one ']);
  expect(await cursorOf(id)).toBe('4');
});

it('an event log lives as long as its job runs, then as long as its record', async () => {
  const { id, job, writer } = await world.begun();
  const [eventLog, run] = [world.o3.keys.eventLog(id), world.o3.keys.run(id)];
  await writer.append(said('one'), {});
  expect([await ttlOf(eventLog), await ttlOf(run)]).toEqual([-1, -1]);
  await writer.finish(FAILED);
  expect(await ttlOf(eventLog)).toBeGreaterThan(0);
  expect(Math.abs((await ttlOf(eventLog)) - (await ttlOf(run)))).toBeLessThan(1000);
  await job.moveToFailed(new UnrecoverableError('upstream_error: a bad day'), 'a');

  await world.queue.retry(id);
  expect(await world.redis.exists(eventLog)).toBe(0);
  const next = world.writerOf(await world.worker.take('b'), 'b');
  await next.begin(0);
  await next.append(said('anew'), {});
  expect(await linesOf(id)).toEqual(['1 anew']);
  expect(await ttlOf(eventLog)).toBe(-1);
});

it('a job that was retried through BullMQ alone, as Bull Board does, begins an empty event log', async () => {
  const { id, job, writer } = await world.begun();
  await writer.append(said('old'), {});
  await writer.finish(FAILED);
  await job.moveToFailed(new UnrecoverableError('upstream_error: a bad day'), 'a');
  await (await world.o3.bullmq.getJob(id))?.retry('failed');
  const next = world.writerOf(await world.worker.take('b'), 'b');
  await next.begin(1);
  await next.append(said('new'), {});
  expect(await linesOf(id)).toEqual(['1 new']);
  expect(await ttlOf(world.o3.keys.eventLog(id))).toBe(-1);
});

it.each([
  ['deleted by hand', (id: string) => world.queue.delete(id)],
  [
    'swept when its retention is over',
    async () => {
      const instant = 1 / 3_600_000;
      const retention = { completedHours: instant, failedHours: instant };
      await eventually(async () => expect(await sweepRetention(world.redis, world.o3, retention)).toBe(1));
    },
  ],
])('is deleted with its job: %s', async (_how, forget) => {
  const { id, job, writer } = await world.begun();
  await writer.append(said('words'), {});
  await writer.finish(COMPLETED);
  await job.moveToCompleted('completed', 'a');
  expect(await world.redis.exists(world.o3.keys.eventLog(id))).toBe(1);
  await forget(id);
  expect(await world.redis.exists(world.o3.keys.eventLog(id))).toBe(0);
});
