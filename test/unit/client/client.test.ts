import { O3ClientError } from '../../../src/client/client-error.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import { onFastClock } from '../../support/fast-clock.ts';
import { completed, failed, result, waiting } from '../../support/http/job-views.ts';
import {
  closeScripted,
  cut,
  json,
  noRedis,
  problem,
  startScripted,
} from '../../support/worlds/scripted-instance.ts';

afterEach(closeScripted);

describe('result', () => {
  it('is the result of a completed job', async () => {
    const { url, seen } = await startScripted(json(200, result));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'completed', result });
    expect(seen[0]?.path).toBe('/jobs/job-1/result');
  });

  it('is the job where it failed, out of the problem that says so', async () => {
    const { url } = await startScripted(problem(409, 'job_failed', 'no such model', { job: failed }));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'failed', job: failed });
  });

  it('is the job as it is while it is not finished', async () => {
    const { url, seen } = await startScripted(json(202, waiting));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'waiting', job: waiting });
    expect(seen).toHaveLength(1);
  });

  it('asks again when the job completed between the look for its result and the view', async () => {
    const { url } = await startScripted(json(202, completed), json(200, result));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'completed', result });
  });

  it('polls again until the end, through a restart of the instance', async () => {
    const { url, seen } = await startScripted(json(202, waiting), cut, json(200, result));
    const outcome = await new O3Client({ url, readPatienceMs: 0 }).result('job-1', { timeoutMs: 600_000 });
    expect(outcome).toEqual({ status: 'completed', result });
    const poll = '/jobs/job-1/result?wait=50';
    expect(seen.map(({ path }) => path)).toEqual(['/jobs/job-1', poll, poll]);
  });

  it('does not ask an instance that answers polls at once over and over', async () => {
    const { url, seen } = await startScripted(json(202, waiting));
    const outcome = await onFastClock(() => new O3Client({ url }).result('job-1', { timeoutMs: 1500 }));
    expect(outcome.status).toBe('waiting');
    expect(seen.length).toBeLessThanOrEqual(4);
  });
});

describe('wait', () => {
  it('answers with the view of the finished job', async () => {
    const { url } = await startScripted(json(202, waiting), json(200, result), json(200, completed));
    expect(await new O3Client({ url }).wait('job-1')).toEqual(completed);
  });

  it('answers with the job as it is when its time is over', async () => {
    const { url } = await startScripted(json(202, waiting));
    expect(await new O3Client({ url }).wait('job-1', { timeoutMs: 50 })).toEqual(waiting);
  });

  it('ends with the reason of its signal, not with an error of its own', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const { url } = await startScripted(() => controller.abort(reason));
    await expect(new O3Client({ url }).wait('job-1', { signal: controller.signal })).rejects.toBe(reason);
  });

  it('ends at once while it pauses before the next try', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const { url, seen } = await startScripted((response, request) => {
      noRedis({ 'retry-after': '60' })(response, request);
      response.on('close', () => setImmediate(() => controller.abort(reason)));
    });
    const client = new O3Client({ url, readPatienceMs: 600_000 });
    await expect(client.get('job-1', { signal: controller.signal })).rejects.toBe(reason);
    expect(seen).toHaveLength(1);
  });
});

describe('list and jobs', () => {
  it('sends only what was asked for', async () => {
    const { url, seen } = await startScripted(json(200, { jobs: [], next_cursor: null }));
    await new O3Client({ url }).list({ status: 'failed', q: 'blue & sky', model: undefined });
    expect(seen[0]?.path).toBe('/jobs?status=failed&q=blue+%26+sky');
  });

  it('reads on through pages that are empty until the last cursor', async () => {
    const page = (id: string | undefined, next_cursor: string | null) =>
      json(200, { jobs: id === undefined ? [] : [{ ...waiting, id }], next_cursor });
    const { url, seen } = await startScripted(page('a', 'c1'), page(undefined, 'c2'), page('b', null));
    const ids: string[] = [];
    for await (const { id } of new O3Client({ url }).jobs({ status: 'waiting' })) ids.push(id);
    expect(ids).toEqual(['a', 'b']);
    expect(seen.map(({ path }) => path)).toEqual([
      '/jobs?limit=100&status=waiting',
      '/jobs?limit=100&status=waiting&cursor=c1',
      '/jobs?limit=100&status=waiting&cursor=c2',
    ]);
  });
});

describe('what is sent', () => {
  it('carries the key, and the id in a form that cannot leave its place', async () => {
    const { url, seen } = await startScripted(json(200, waiting));
    const client = new O3Client({ url: `${url}/queue/`, apiKey: 'secret' });
    await client.cancel('a/../b?c#d');
    expect(seen[0]).toMatchObject({
      method: 'POST',
      path: '/queue/jobs/a%2F..%2Fb%3Fc%23d/cancel',
      authorization: 'Bearer secret',
    });
  });

  it.each(['', '.', '..', '\ud800'])(
    'does not ask for a job with the id %j, which no URL can hold',
    async (id) => {
      const { url, seen } = await startScripted(json(200, waiting));
      await expect(new O3Client({ url }).get(id)).rejects.toThrow(O3ClientError);
      expect(seen).toEqual([]);
    },
  );

  it('takes 204 for an answer', async () => {
    const { url, seen } = await startScripted((response) => response.writeHead(204).end());
    await new O3Client({ url }).delete('job-1');
    expect(seen[0]?.method).toBe('DELETE');
  });
});
