import { jobDetails } from '../../../cli/display/job-details.ts';
import { jobLine } from '../../../cli/display/job-line.ts';
import { jobTable } from '../../../cli/display/job-table.ts';
import { createTerminal, type Terminal } from '../../../cli/display/terminal.ts';
import type { JobView } from '../../../src/job/view.ts';
import { active, cancelled, completed, delayed, failed, waiting } from '../../support/http/job-views.ts';

/** A pipe, or a terminal of some width, without its stream. */
function terminalOf(columns: number | undefined, coloured = false): Terminal {
  return {
    ...createTerminal(process.stdout),
    isTerminal: columns !== undefined,
    columns: () => columns,
    paint: (_, text) => (coloured ? `\u001b[1m${text}\u001b[22m` : text),
  };
}

const pipe = terminalOf(undefined);
const NOW = Date.parse('2025-11-23T03:04:00.000Z');

describe('the table of jobs', () => {
  it('has a line for each job', () => {
    expect(jobTable([waiting, active, completed], pipe).split('\n')).toEqual([
      'STATUS        ID     MODEL  CREATED               ATTEMPT  TIME               COST  QUESTION',
      '⏳ waiting    job-1  o3     2025-11-23T03:00:00Z           #5 in 1m 30s             Why is the sky blue?',
      '🔄 active     job-1  o3     2025-11-23T03:00:00Z  1/5      12s                      Why is the sky blue?',
      '✅ completed  job-1  o3     2025-11-23T03:00:00Z  1/5      3m 04s        $0.009812  Why is the sky blue?',
    ]);
    expect(jobTable([waiting, active], pipe)).not.toMatch('COST');
    expect(jobTable([{ ...waiting, eta_ms: null }], pipe)).toMatch(/ 2025\S+ +#5 +Why/);
    expect(jobTable([{ ...waiting, position: null, eta_ms: null }], pipe)).toMatch(/ 2025\S+ +Why/);
  });

  it.each([delayed, failed, cancelled])('shows a job that is $status', (job) => {
    expect(jobTable([job], pipe)).toMatch(job.status);
  });

  it('says that an active job is being cancelled', () => {
    expect(jobTable([{ ...active, cancelling: true }], pipe)).toMatch('🔄 cancelling');
  });

  it('shows the tenants of jobs that belong to several, and why jobs have no answer', () => {
    const refused = { ...completed, result: { ...completed.result, refusal: 'No.', answer_preview: null } };
    const cut = { ...completed, result: { ...completed.result, incomplete_reason: 'max_output_tokens' } };
    const jobs = [{ ...failed, tenant: 'alice' }, { ...refused, tenant: 'bob' }, cut];
    const columns = (text: string) => text.split('\n').map((line) => line.split(/\s{2,}/));
    const ends = columns(jobTable(jobs, terminalOf(120))).map((cells) => [cells[0], cells[3], cells.at(-2)]);
    expect(ends).toEqual([
      ['STATUS', 'TENANT', 'ERROR'],
      ['❌ failed', 'alice', 'upstream_refused'],
      ['❗ no answer', 'bob', 'refusal'],
      ['✅ completed', expect.anything(), 'max_output_tokens'],
    ]);
    expect(jobTable([{ ...failed, tenant: 'alice' }], terminalOf(120))).not.toMatch('alice');
    expect(jobTable([{ ...failed, tenant: 'alice' }], pipe)).toMatch('alice');
  });

  it('shows metadata behind the question, and cuts it first', () => {
    const jobs = [{ ...completed, metadata: { agent: 'claude-code', team: 'a\nb' } }, completed];
    expect(jobTable(jobs, pipe)).toMatch(/ QUESTION +METADATA\n.* blue\? {2}agent=claude-code team=a b\n/);
    expect(jobTable(jobs, terminalOf(118))).toMatch(/ Why is the sky blue\? {2}agent=claude-c.*…\n/);
    expect(jobTable(jobs, terminalOf(80))).not.toMatch('METADATA');
  });

  it('keeps every job on one line when its question has line ends', () => {
    const question = 'one\r\ntwo\tthree \u001b[2J\u001b]0;title\u0007 \u202efour';
    const lines = jobTable([{ ...active, question }], pipe).split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/one two three \[2J\]0;title four$/);
  });

  it('cuts the question at the edge of a terminal, and nothing in a pipe', () => {
    const job: JobView = { ...completed, question: 'ä'.repeat(200) };
    const lines = jobTable([job], terminalOf(80)).split('\n');
    expect(lines[1]).toMatch(/ä…$/);
    expect(lines[1]?.length).toBeLessThanOrEqual(80);
    expect(jobTable([job], pipe)).toMatch('ä'.repeat(200));
  });

  it('cuts no emoji in half', () => {
    for (let columns = 60; columns < 64; columns += 1) {
      const table = jobTable([{ ...active, question: '👩‍🚀🚀'.repeat(40) }], terminalOf(columns));
      expect(table).not.toMatch(/\p{Surrogate}/u);
    }
  });

  it('has the same columns with colours', () => {
    const coloured = jobTable([active, failed], terminalOf(100, true));
    expect(coloured).toMatch('\u001b[1m');
    expect(coloured.replaceAll('\u001b[1m', '').replaceAll('\u001b[22m', '')).toBe(
      jobTable([active, failed], terminalOf(100)),
    );
  });
});

describe('the details of a job', () => {
  it('tell the cost of a completed job and the beginning of its answer', () => {
    expect(jobDetails(completed, pipe, { now: NOW }).split('\n')).toEqual([
      '✅ completed  job-1',
      '  question  Why is the sky blue?',
      '  model     o3',
      '  attempt   1 of 5',
      '  cost      $0.009812',
      '  created   2025-11-23T03:00:00.000Z (4m 00s ago)',
      '  started   2025-11-23T03:00:01.000Z (3m 59s ago)',
      '  finished  2025-11-23T03:03:05.000Z (55s ago)',
      '  took      3m 04s',
      '  upstream  resp_1, o3-2025-04-16',
      '  tokens    1,234 tokens, 1,000 of them reasoning',
      '  answer    Rayleigh scattering.',
    ]);
  });

  it.each<[string, JobView, RegExp]>([
    ['what a waiting one waits for', waiting, /waits for {2}its turn: 4 jobs before it/],
    ['when a delayed one is due', delayed, /due .*\(in 6m 00s\)/],
    ['what the upstream says of an active one', active, /upstream .*resp_1, in_progress/],
    [
      'when the upstream was last heard of',
      { ...active, progress: { ...active.progress, seen_at: '2025-11-23T03:03:56.000Z' } },
      /last heard {2}2025-11-23T03:03:56\.000Z \(4\.0s ago\)/,
    ],
    [
      'when an answer is expected',
      { ...waiting, position: 3, eta_ms: 65_000, eta_basis: '2 jobs before it' },
      /expected {3}in 1m 05s \(2 jobs before it\)/,
    ],
    [
      'metadata',
      { ...waiting, metadata: { agent: 'coder', team: 'b' } },
      /metadata +agent=coder\n +team=b\n/,
    ],
    ['why a failed one failed', failed, /error .*upstream_refused: no such model/],
    ['what was bought more than once', { ...failed, purchases: 2 }, /bought +2 responses$/m],
    [
      'what may have been bought',
      { ...failed, uncertain_purchases: 1 },
      /bought .*1 response, perhaps 1 more/,
    ],
    ['that a cancelled one was never started', { ...cancelled, started_at: null }, /never started/],
  ])('tell %s', (_, job, line) => {
    expect(jobDetails(job, pipe, { now: NOW })).toMatch(line);
  });

  it('keep the lines of an answer and remove control characters', () => {
    const job = { ...completed, result: { ...completed.result, answer_preview: 'a\n  b\u001b[31m' } };
    expect(jobDetails(job, pipe, { now: NOW })).toMatch(/answer +a\n {6}b\[31m$/);
  });
});

describe('the details of a job on a terminal', () => {
  const answer = `Light is scattered, and blue most of all.\n\n  - ${'x'.repeat(60)} 日本語の長い文です 👩‍🚀`;
  const job = { ...completed, result: { ...completed.result, answer_preview: answer } };

  it('break lines between words and lose no text', () => {
    const lines = jobDetails(job, terminalOf(40), { now: NOW }).split('\n').slice(-7);
    expect(lines).toEqual([
      '  answer    Light is scattered, and blue',
      '    most of all.',
      '    ',
      '      -',
      `    ${'x'.repeat(36)}`,
      `    ${'x'.repeat(24)}`,
      '    日本語の長い文です 👩‍🚀',
    ]);
  });
});

describe('the line of a job', () => {
  it.each<[JobView, string]>([
    [waiting, '⏳ waiting  job-1  o3  for its turn: 4 jobs before it'],
    [active, '🔄 active  job-1  o3  attempt 1/5  12s'],
    [completed, '✅ completed  job-1  o3  attempt 1/5  3m 04s  $0.009812'],
    [failed, '❌ failed  job-1  o3  attempt 1/5  3m 04s  upstream_refused: no such model'],
    [cancelled, '🚫 cancelled  job-1  o3  attempt 1/5  3m 04s'],
  ])('shows a job that is $status', (job, line) => {
    expect(jobLine(job, pipe)).toBe(line);
  });
});
