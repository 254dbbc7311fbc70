import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Origin } from '../../../cli/batch/files/input-line.ts';
import { answerLine, type LineOutcome } from '../../../cli/batch/files/output-line.ts';
import { result } from '../../support/http/job-views.ts';

const BATCH_PAGE = readFileSync('docs/BATCH.md', 'utf8');
const COMMAND = /^awk -F_ .*again\.jsonl$/m.exec(BATCH_PAGE)?.[0] ?? '';

const refused: LineOutcome = {
  status: 'refused',
  error: { code: 'invalid_request', message: 'batch_req_no_9 "error":null} no' },
};
const answered: LineOutcome = { status: 'completed', id: 'job_1', result };

describe('the command that collects the lines to ask again', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'o3q-again-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is the same in the documentation and in the help', () => {
    expect(COMMAND).not.toBe('');
    // As it stands in the source: in a template.
    expect(readFileSync('cli/batch/command.ts', 'utf8')).toContain(COMMAND);
  });

  it.each<[string, Origin]>([
    ['ours', { format: 'ours', customId: undefined, metadata: undefined }],
    ['OpenAI’s', { format: 'openai', customId: 'sky_1' }],
  ])('takes the lines with an error from an output of format %s', (_name, origin) => {
    const questions = ['"One?"', '', '"Three?"', '"Four_?"'];
    const key = (line: number) => ({ batch: '0123456789abcdef', line, hash: 'fedcba9876543210' });
    const answers = [
      answerLine(key(4), origin, refused),
      answerLine(key(1), origin, answered),
      answerLine(key(3), origin, refused),
    ];
    writeFileSync(join(folder, 'questions.jsonl'), `${questions.join('\n')}\n`);
    writeFileSync(join(folder, 'answers.jsonl'), `${answers.join('\n')}\n`);
    execFileSync('sh', ['-c', COMMAND], { cwd: folder });
    expect(readFileSync(join(folder, 'again.jsonl'), 'utf8')).toBe('"Three?"\n"Four_?"\n');
  });
});
