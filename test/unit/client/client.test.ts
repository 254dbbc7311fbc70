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

  it('is the failed job, which the problem of the answer holds', async () => {
    const { url } = await startScripted(problem(409, 'job_failed', 'no such model', { job: failed }));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'failed', job: failed });
  });

  it('is the job while it is not finished', async () => {
    const { url, seen } = await startScripted(json(202, waiting));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'waiting', job: waiting });
    expect(seen).toHaveLength(1);
  });

  it('is read again when the job completed between the two looks of the instance', async () => {
    const { url } = await startScripted(json(202, completed), json(200, result));
    expect(await new O3Client({ url }).result('job-1')).toEqual({ status: 'completed', result });
  });

  it('polls until the end, also through a restart of the instance', async () => {
    const { url, seen } = await startScripted(json(202, waiting), cut, json(200, result));
    const outcome = await new O3Client({ url, readPatienceMs: 0 }).result('job-1', { timeoutMs: 600_000 });
    expect(outcome).toEqual({ status: 'completed', result });
    const poll = '/jobs/job-1/result?wait=50';
    expect(seen.map(({ path }) => path)).toEqual(['/jobs/job-1', poll, poll]);
  });

  it('does not poll in a busy loop when the instance answers polls at once', async () => {
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

  it('asks only once for a job that has ended', async () => {
    const { url, seen } = await startScripted(json(200, completed));
    expect(await new O3Client({ url }).wait('job-1')).toEqual(completed);
    expect(seen.map(({ path }) => path)).toEqual(['/jobs/job-1']);
  });

  it('answers with the job as it stands when its time is over', async () => {
    const { url } = await startScripted(json(202, waiting));
    expect(await new O3Client({ url }).wait('job-1', { timeoutMs: 50 })).toEqual(waiting);
  });

  it('rejects with the reason of its signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const { url } = await startScripted(() => controller.abort(reason));
    await expect(new O3Client({ url }).wait('job-1', { signal: controller.signal })).rejects.toBe(reason);
  });

  it('rejects at once when its signal aborts between two tries', async () => {
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
  it('send only the fields that are given', async () => {
    const { url, seen } = await startScripted(json(200, { jobs: [], next_cursor: null }));
    await new O3Client({ url }).list({ status: 'failed', q: 'blue & sky', model: undefined });
    expect(seen[0]?.path).toBe('/jobs?status=failed&q=blue+%26+sky');
  });

  it('read on after an empty page until the last cursor', async () => {
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

describe('a request of the client', () => {
  it('has the API key, and the id escaped in its path', async () => {
    const { url, seen } = await startScripted(json(200, waiting));
    const client = new O3Client({ url: `${url}/queue/`, apiKey: 'secret' });
    await client.cancel('a/../b?c#d');
    expect(seen[0]).toMatchObject({
      method: 'POST',
      path: '/queue/jobs/a%2F..%2Fb%3Fc%23d/cancel',
      authorization: 'Bearer secret',
    });
  });

  it.each(['', '.', '..', '\ud800'])('is not sent for the id %j, which no URL can hold', async (id) => {
    const { url, seen } = await startScripted(json(200, waiting));
    await expect(new O3Client({ url }).get(id)).rejects.toThrow(O3ClientError);
    expect(seen).toEqual([]);
  });

  it('accepts 204 as an answer', async () => {
    const { url, seen } = await startScripted((response) => response.writeHead(204).end());
    await new O3Client({ url }).delete('job-1');
    expect(seen[0]?.method).toBe('DELETE');
  });
});
