import { constants, fstatSync } from 'node:fs';
import { access, lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BatchError, fileAt, fileError, isSameFile } from './file.ts';
import { recordPath } from './record.ts';

/** BatchPaths are the files that a batch writes, with all links followed. */
export interface BatchPaths {
  output: string;
  /**
   * The record lies beside the file itself, not beside a link to it. Two commands that name one output by two
   * paths must find the same record.
   */
  record: string;
}

const STDIO = [
  [1, 'standard output'],
  [2, 'standard error'],
] as const;

/**
 * batchPaths finds the files that a batch would write. It changes nothing. @throws {BatchError} when one of
 * them is the input, under any name; when the shell redirects this command's stdout or stderr into it; or
 * when it is not a regular file.
 */
export async function batchPaths(input: string, out: string): Promise<BatchPaths> {
  if (out === '-') {
    throw new BatchError(
      '--out was expected to be a file, got -: a batch must read its output to continue; for a file of this name, write ./-',
    );
  }
  const output = await followed(out);
  const record = recordPath(output);
  const asked = await stat(input, { bigint: true }).catch((error: unknown) => {
    throw fileError(input, 'read', error);
  });
  for (const [path, what] of [
    [output, 'the output'],
    [record, 'the record of the batch, which lies beside the output,'],
  ] as const) {
    const found = await fileAt(path);
    if (found === undefined) continue;
    if (isSameFile(found, asked)) {
      throw new BatchError(`${path} would be both the input and ${what}: choose another --out`);
    }
    for (const [descriptor, name] of STDIO) {
      const printed = descriptorStats(descriptor);
      if (printed !== undefined && isSameFile(found, printed)) {
        throw new BatchError(
          `${path} would be both ${what} and this command's ${name}: send ${name} elsewhere`,
        );
      }
    }
  }
  return { output, record };
}

/**
 * requireWritable refuses an output that may not be written, before any request to the instance. Root could
 * write any file, but a file that has no write permission at all is refused for root too.
 */
export async function requireWritable({ output }: BatchPaths): Promise<void> {
  const found = await fileAt(output);
  if (found === undefined) return;
  if ((found.mode & 0o222n) === 0n) {
    throw new BatchError(`${output} cannot be written: it is read-only; choose another --out`);
  }
  await access(output, constants.W_OK).catch((error: unknown) => {
    throw fileError(output, 'written', error);
  });
}

async function followed(out: string): Promise<string> {
  if (out.endsWith('/')) throw new BatchError(`--out was expected to be a file, got the folder ${out}`);
  try {
    if ((await lstat(out).catch(() => undefined)) !== undefined) return await realpath(out);
    return join(await realpath(dirname(out)), basename(out));
  } catch (error: unknown) {
    throw fileError(out, 'written', error);
  }
}

/** Returns undefined when the command was started with this descriptor closed. */
function descriptorStats(descriptor: number) {
  try {
    return fstatSync(descriptor, { bigint: true });
  } catch {
    return undefined;
  }
}
