import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cellsOf } from '../../cli/display/wrapped-text.ts';
import { hasPty, onTerminal } from '../support/process/pty.ts';
import { type PicturedInstance, startPicturedInstance } from '../support/worlds/pictured-instance.ts';

const DOCUMENT = join(__dirname, '../../docs/TERMINAL.md');
/** Writes the captures into the document, instead of comparing them with it. */
const isUpdate = process.env['UPDATE_CAPTURES'] !== undefined;
const SIZES = [
  [80, 24],
  [140, 40],
] as const;

let instance: PicturedInstance;
beforeAll(async () => {
  instance = await startPicturedInstance();
});
afterAll(() => instance.stop());

const run = (args: readonly string[], columns: number, rows: number, until?: RegExp, more = {}) =>
  onTerminal({
    args,
    columns,
    rows,
    environment: { O3Q_URL: instance.url, ...more },
    ...(until && { until }),
  });

interface Picture {
  name: string;
  args: (given: PicturedInstance) => string[];
  /** What it has written when it is captured. Default: it ends by itself. */
  until?: RegExp;
}

const PICTURES: Picture[] = [
  { name: 'o3q list', args: () => ['list'] },
  { name: 'o3q watch', args: () => ['watch'], until: /jobs still run/ },
  { name: 'o3q usage', args: () => ['usage'] },
  { name: 'o3q models', args: () => ['models'] },
  { name: 'o3q audit', args: () => ['audit'] },
  {
    name: 'o3q follow, before the first word',
    args: ({ waitingId }) => ['follow', waitingId],
    until: /0:4\d job_/,
  },
  { name: 'o3q follow', args: ({ spokenId }) => ['follow', spokenId], until: /entry of its own\./ },
];

if (!hasPty()) {
  it('needs the command script of util-linux', () => {
    const sentence = 'The captures of the terminal need Linux and /usr/bin/script';
    if (process.env['CI'] !== undefined) throw new Error(sentence);
    process.stderr.write(`\nSKIPPED. ${sentence}.\n`);
  });
} else {
  describe.each(SIZES)('on a terminal of %d × %d', (columns, rows) => {
    it.each(PICTURES)('$name looks as docs/TERMINAL.md shows it', async ({ name, args, until }) => {
      const { text, code } = await run(args(instance), columns, rows, until);
      expect(code).toBe(until === undefined || name === 'o3q watch' ? 0 : 130);
      // The line of the silence is gone from the terminal once there is an answer.
      const lines = captured(text).filter((line) => name !== 'o3q follow' || !/^0:4\d job_/.test(line));
      // An answer is written as it comes: the terminal breaks its lines.
      const drawn = name === 'o3q follow' ? [] : lines;
      for (const line of drawn) expect(cellsOf(line)).toBeLessThanOrEqual(columns);
      expect(lines.length).toBeLessThan(rows);
      const mark = `<!-- ${name} ${columns}x${rows} -->`;
      const document = readFileSync(DOCUMENT, 'utf8');
      const [before = '', after = ''] = document.split(`${mark}\n\`\`\`\n`);
      const end = after.indexOf('```');
      if (isUpdate)
        writeFileSync(DOCUMENT, `${before}${mark}\n\`\`\`\n${lines.join('\n')}\n${after.slice(end)}`);
      else expect(lines).toEqual(after.slice(0, end).trimEnd().split('\n'));
    });
  });

  it.each(['list', 'usage', 'models'])(
    'o3q %s has no colours with NO_COLOR, and has them without',
    async (command) => {
      expect((await run([command], 80, 24, undefined, { NO_COLOR: '1' })).raw).not.toMatch('\u001b[');
      expect((await run([command], 80, 24)).raw).toMatch('\u001b[');
    },
  );

  it('o3q watch gives the cursor back at Ctrl-C', async () => {
    const { raw, code } = await run(['watch'], 60, 20, /jobs still run/);
    expect(code).toBe(0);
    expect(raw.lastIndexOf('\u001b[?25h')).toBeGreaterThan(raw.lastIndexOf('\u001b[?25l'));
  });
}

/** The lines of a capture. The clock of a silent job is the only thing that differs from run to run. */
function captured(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd().replace(/^0:4\d /, '0:42 '));
}
