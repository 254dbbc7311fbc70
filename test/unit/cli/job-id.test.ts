import { fullId, fullIds, shortIds } from '../../../cli/job-id.ts';
import type { JobQuery } from '../../../src/job/job-queue.ts';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import { completed } from '../../support/http/job-views.ts';

const job = (id: string): JobView => ({ ...completed, id });
const own = (end: string): string => `job_${end.padStart(32, '0')}`;

/** An instance that finds these jobs by a part of their ids. */
function instanceWith(...ids: string[]) {
  const asked: string[] = [];
  const client = {
    async list({ id = '', limit = 20 }: JobQuery = {}): Promise<JobPage> {
      asked.push(id);
      const found = ids.filter((each) => each.startsWith(id) || each.endsWith(id)).slice(0, limit);
      return { jobs: found.map(job), next_cursor: null };
    },
  };
  return { client, asked };
}

describe('a part of an id', () => {
  it('stands for the one job whose id begins or ends with it', async () => {
    const { client } = instanceWith(own('abcd1234'), own('abcd9999'), 'order-17');
    expect(await fullId(client, 'd1234')).toBe(own('abcd1234'));
    expect(await fullIds(client, ['ord', '1234', 'order-17'])).toEqual(['order-17', own('abcd1234')]);
  });

  it('may be the id of the response or of the chat completion of a job', async () => {
    const { client, asked } = instanceWith();
    const digits = 'abcd1234'.padStart(32, '0');
    for (const id of [`resp_${digits}`, `chatcmpl-${digits}`])
      expect(await fullId(client, id)).toBe(own('abcd1234'));
    expect(await fullId(client, `resp_x${Buffer.from('o3:7').toString('hex')}`)).toBe('o3:7');
    expect(asked).toEqual(['o3:7']);
  });

  it('is looked for on further pages while there are any', async () => {
    const pages: JobPage[] = [
      { jobs: [], next_cursor: 'second' },
      { jobs: [job(own('abcd1234'))], next_cursor: 'third' },
      { jobs: [job(own('abcd1234'))], next_cursor: null },
    ];
    const asked: unknown[] = [];
    const list = async ({ cursor }: JobQuery = {}): Promise<JobPage> => {
      asked.push(cursor);
      return pages[asked.length - 1] ?? { jobs: [], next_cursor: null };
    };
    expect(await fullId({ list }, '1234')).toBe(own('abcd1234'));
    expect(asked).toEqual([undefined, 'second', 'third']);
  });

  it('is refused with the candidates when it fits several jobs', async () => {
    const ids = Array.from({ length: 30 }, (_, i) => own(`${i}ff`));
    await expect(fullId(instanceWith(...ids).client, 'ff')).rejects.toThrow(
      /^"ff" fits several jobs; write more of the id:\n {2}job_\w+ {2}completed {2}Why is the sky blue\?\n/,
    );
    const refusal = await fullId(instanceWith(...ids).client, 'ff').catch(String);
    expect(refusal.match(/job_/g)).toHaveLength(8);
    expect(refusal).toMatch(/\n {2}…$/);
  });

  it('is the whole id of another job before it is a part of one', async () => {
    expect(await fullId(instanceWith('17', 'order-17').client, '17')).toBe('17');
  });

  it('goes to the instance as it is when it fits no job, or is a whole id of our own', async () => {
    const { client, asked } = instanceWith();
    expect(await fullId(client, 'lost')).toBe('lost');
    expect(await fullId(client, own('1'))).toBe(own('1'));
    expect(asked).toEqual(['lost']);
  });
});

describe('a short id', () => {
  it('is the end of the id, as long as it takes to tell the jobs apart', () => {
    const ids = [own('1234567890'), own('77734567890'), own('abcdef12'), 'order-17', own('1234567890')];
    expect([...shortIds(ids.map(job)).values()]).toEqual(['234567890', '734567890', 'abcdef12', 'order-17']);
  });
});
