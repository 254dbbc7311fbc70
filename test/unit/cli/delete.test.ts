import { PassThrough } from 'node:stream';
import type { CommandContext } from '../../../cli/command-context.ts';
import { createTerminal } from '../../../cli/display/terminal.ts';
import { createProgram } from '../../../cli/program.ts';
import type { O3Client } from '../../../src/client/o3-client.ts';

/** `o3q delete` on a terminal, at which a person types. */
function terminalWith(typed: string) {
  const deleted: string[] = [];
  const client = {
    list: async () => ({ jobs: [], next_cursor: null }),
    get: async (id: string) => ({ id, status: 'completed', question: `About ${id}?`, cost_usd: 0.25 }),
    delete: async (id: string) => void deleted.push(id),
  };
  const input = Object.assign(new PassThrough(), { isTTY: true });
  const [output, notices] = [new PassThrough(), new PassThrough()];
  let exitCode = 0;
  const context = {
    client: () => client as unknown as O3Client,
    input: input as unknown as NodeJS.ReadStream,
    output: createTerminal(output as unknown as NodeJS.WriteStream),
    notices: createTerminal(notices as unknown as NodeJS.WriteStream),
    finish: (code: number) => {
      exitCode = code;
    },
  } as CommandContext;
  const run = async (...args: string[]) => {
    input.end(typed);
    await createProgram(context, '0').parseAsync(['delete', ...args], { from: 'user' });
    return { exitCode, deleted, said: String(notices.read() ?? ''), printed: String(output.read() ?? '') };
  };
  return { run };
}

it.each(['y\n', 'Yes\n'])('deletes the jobs after the answer %j', async (typed) => {
  const { exitCode, deleted, said, printed } = await terminalWith(typed).run('job_a', 'job_b');
  expect({ exitCode, deleted }).toEqual({ exitCode: 0, deleted: ['job_a', 'job_b'] });
  expect(said).toMatch(
    /job_a {2}completed {2}About job_a\?\n[\s\S]*Delete 2 jobs, for which \$0\.50 was spent\? \[y\/N\]/,
  );
  expect(printed).toBe('🗑️ job_a is deleted\n🗑️ job_b is deleted\n');
});

it.each(['\n', 'no\n', 'yesterday\n', ''])('deletes nothing after the answer %j', async (typed) => {
  const { exitCode, deleted, said } = await terminalWith(typed).run('job_a');
  expect({ exitCode, deleted }).toEqual({ exitCode: 1, deleted: [] });
  expect(said).toMatch(/Delete 1 job, [\s\S]*Nothing was deleted\.\n$/);
});

it('asks nothing with --yes', async () => {
  const { exitCode, deleted, said } = await terminalWith('').run('job_a', '--yes');
  expect({ exitCode, deleted, said }).toEqual({ exitCode: 0, deleted: ['job_a'], said: '' });
});
