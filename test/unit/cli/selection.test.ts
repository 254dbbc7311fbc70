import { PassThrough } from 'node:stream';
import type { CommandContext } from '../../../cli/command-context.ts';
import { createTerminal } from '../../../cli/display/terminal.ts';
import { createProgram } from '../../../cli/program.ts';
import type { O3Client } from '../../../src/client/o3-client.ts';
import type { Action } from '../../../src/job/action.ts';

const action: Action = {
  id: 'act_0123456789abcdef',
  kind: 'retry',
  status: 'running',
  filter: {},
  started_by: null,
  created_at: '2026-03-01T12:00:00.000Z',
  finished_at: null,
  matching: 120,
  more: false,
  cost_usd: 3.1,
  done: 0,
  skipped: {},
  failed: {},
};
const done: Action = { ...action, status: 'done', done: 118, skipped: { already_finished: 2 } };

/** `o3q` on a terminal, at which a person types. Its instance selects `matching` jobs. */
function terminalWith(typed: string, { matching = 120, more = false, end = done, isTTY = true } = {}) {
  const deleted: string[] = [];
  const asked: unknown[] = [];
  const client = {
    list: async () => ({ jobs: [], next_cursor: null }),
    get: async (id: string) => ({ id, status: 'completed', question: `About ${id}?`, cost_usd: 0.25 }),
    delete: async (id: string) => void deleted.push(id),
    actions: {
      count: async (...given: unknown[]) => {
        asked.push(['count', ...given]);
        return { matching, more, cost_usd: 3.1 };
      },
      start: async (...given: unknown[]) => {
        asked.push(['start', ...given]);
        return action;
      },
      get: async () => end,
      list: async () => [action],
      stop: async (id: string) => {
        asked.push(['stop', id]);
        return { ...end, status: 'stopped' };
      },
    },
  };
  const input = Object.assign(new PassThrough(), { isTTY });
  const [output, notices] = [new PassThrough(), new PassThrough()];
  let exitCode = 0;
  const context = {
    client: () => client as unknown as O3Client,
    input: input as unknown as NodeJS.ReadStream,
    output: createTerminal(output as unknown as NodeJS.WriteStream),
    notices: createTerminal(notices as unknown as NodeJS.WriteStream),
    interruption: () => new AbortController().signal,
    finish: (code: number) => {
      exitCode = code;
    },
  } as CommandContext;
  const run = async (...args: string[]) => {
    input.end(typed);
    await createProgram(context, '0').parseAsync(args, { from: 'user' });
    return {
      exitCode,
      deleted,
      asked,
      said: String(notices.read() ?? ''),
      printed: String(output.read() ?? ''),
    };
  };
  return { run };
}

it.each(['y\n', 'Yes\n'])('deletes the jobs after the answer %j', async (typed) => {
  const { exitCode, deleted, said, printed } = await terminalWith(typed).run('delete', 'job_a', 'job_b');
  expect({ exitCode, deleted }).toEqual({ exitCode: 0, deleted: ['job_a', 'job_b'] });
  expect(said).toMatch(
    /job_a {2}completed {2}About job_a\?\n[\s\S]*Delete 2 jobs, for which \$0\.50 was spent\? \[y\/N\]/,
  );
  expect(printed).toBe('🗑️ job_a is deleted\n🗑️ job_b is deleted\n');
});

it.each(['\n', 'no\n', 'yesterday\n', ''])('deletes nothing after the answer %j', async (typed) => {
  const { exitCode, deleted, said } = await terminalWith(typed).run('delete', 'job_a');
  expect({ exitCode, deleted }).toEqual({ exitCode: 1, deleted: [] });
  expect(said).toMatch(/Delete 1 job, [\s\S]*Nothing was changed\.\n$/);
});

it('asks nothing with --yes', async () => {
  const { exitCode, deleted, said } = await terminalWith('').run('delete', 'job_a', '--yes');
  expect({ exitCode, deleted, said }).toEqual({ exitCode: 0, deleted: ['job_a'], said: '' });
});

describe('a selection', () => {
  const failed = ['retry', '--status', 'failed', '--error', 'timeout'];
  const filter = { status: 'failed', error: 'timeout' };

  it('is counted, asked about with its cost, carried out and told about', async () => {
    const { exitCode, asked, said, printed } = await terminalWith('y\n').run(...failed);
    expect(asked).toEqual([
      ['count', 'retry', filter],
      ['start', 'retry', filter],
    ]);
    expect(said).toMatch('Retry 120 jobs, for which $3.10 was spent? Each buys a new response. [y/N]');
    expect(said).toMatch(/The action act_\w+ has started\.\n$/);
    expect({ exitCode, printed }).toEqual({
      exitCode: 0,
      printed: '⏳ 118 jobs are retried; not retried: already finished: 2\n',
    });
  });

  it('is left alone after another answer than yes', async () => {
    const { exitCode, asked, said } = await terminalWith('n\n').run(...failed);
    expect({ exitCode, asked: asked.length }).toEqual({ exitCode: 1, asked: 1 });
    expect(said).toMatch(/Nothing was changed\.\n$/);
  });

  it('is not asked about with --yes, also without a terminal', async () => {
    const { exitCode, asked } = await terminalWith('', { isTTY: false }).run(...failed, '--yes');
    expect({ exitCode, asked: asked.length }).toEqual({ exitCode: 0, asked: 2 });
  });

  it('is refused without a terminal and --yes, before it is counted', async () => {
    const piped = terminalWith('', { isTTY: false });
    await expect(piped.run(...failed)).rejects.toThrow('expected --yes');
  });

  it('is only counted with --dry-run', async () => {
    const many = terminalWith('', { matching: 10_000, more: true, isTTY: false });
    const { asked, printed } = await many.run('cancel', '--model', 'o3', '--dry-run');
    expect(asked).toEqual([['count', 'cancel', { model: 'o3' }]]);
    expect(printed).toBe('Cancel more than 10,000 jobs, for which at least $3.10 was spent?\n');
  });

  it('starts nothing when no jobs match', async () => {
    const { exitCode, asked, said } = await terminalWith('', { matching: 0 }).run(...failed);
    expect({ exitCode, asked: asked.length, said }).toEqual({
      exitCode: 0,
      asked: 1,
      said: 'No jobs match.\n',
    });
  });

  it.each([
    [[], 'neither'],
    [['job_a', '--model', 'o3'], 'both'],
  ])('is not %j', async (args, got) => {
    await expect(terminalWith('').run('delete', ...args)).rejects.toThrow(`got ${got}`);
  });

  it('ends with 1 when it could not act on a job', async () => {
    const end: Action = { ...done, failed: { storage_full: 1 } };
    const { exitCode, printed } = await terminalWith('', { end }).run(...failed, '--yes');
    expect({ exitCode, printed }).toEqual({
      exitCode: 1,
      printed: '⏳ 118 jobs are retried; not retried: already finished: 2, storage full: 1\n',
    });
  });
});

describe('o3q actions', () => {
  it('lists the newest ones, and stops one', async () => {
    const { printed } = await terminalWith('').run('actions');
    expect(printed).toMatch(/^STATUS .*\nrunning +act_0123456789abcdef +retry .* 120 +0 +\$3\.10\n$/);
    const stopped = await terminalWith('').run('actions', '89abcdef', '--stop');
    expect(stopped.asked).toEqual([['stop', action.id]]);
    expect(stopped).toMatchObject({
      exitCode: 1,
      printed: expect.stringMatching(/the action was stopped\n$/),
    });
  });
});
