import { quoteText } from '../../../cli/display/quote.ts';
import { createTerminal } from '../../../cli/display/terminal.ts';
import { quoteExample } from '../../../producer/openapi/quote-schema.ts';
import type { Quote } from '../../../src/usage/quote.ts';

const NOW = Date.parse('2026-03-01T18:00:00.000Z');
const terminal = {
  ...createTerminal(process.stdout),
  columns: () => 80,
  paint: (_: unknown, text: string) => text,
};
const linesOf = (quote: Partial<Quote>, neededBy?: string): string[] =>
  quoteText({ ...quoteExample, ...quote }, { neededBy, now: NOW }, terminal).split('\n');
const textOf = (quote: Partial<Quote>, neededBy?: string): string => linesOf(quote, neededBy).join(' ');

describe('a quote on a screen of 80 columns', () => {
  it('shows the price of each window, and which one would be bought', () => {
    const lines = linesOf({}, '2026-03-02T07:00:00.000Z');
    expect(lines.map((line) => line.replace(/\d{4}-\d\d-\d\d \d\d:\d\d [A-Z0-9:+-]+/, 'TIME'))).toEqual([
      'A quote: nothing was asked, stored or paid.',
      '',
      '   ANSWER     LIKELY  AT MOST           SAVES  EXPECTED',
      '   soonest    $0.023  $0.2031                  in 52s',
      '   within 2h  $0.016  $0.1422   $0.007 (30 %)  by TIME',
      '→  within 8h  $0.014  $0.1219  $0.0094 (40 %)  by TIME',
      '',
      'Needed by TIME (in 13h 00m): → within 8h would be bought.',
      '',
      'Model   sol, which is gpt-6.2-sol, at list prices',
      'Input   1,240 tokens, counted by the upstream',
      '        up to 272,000: the normal price',
      'Output  about 2,100 tokens, the mean of earlier answers',
      '        at most 20,000 tokens',
      'Waits   for its turn: 4 jobs before it',
    ]);
  });

  it('says what a later answer would save, and when there is no time for that', () => {
    const soonest = { completion_window: 'soonest' };
    expect(textOf(soonest)).toContain('--by "in 12 hours" would buy within 8h, and save about $0.0094.');
    expect(textOf(soonest, '2026-03-01T19:00:00.000Z')).toContain('too soon for a discount');
    const only = quoteExample.windows.slice(0, 1);
    expect(textOf({ ...soonest, windows: only })).not.toMatch(/--by|discount|would be bought/);
  });

  it('says until when the upstream refuses later answers', () => {
    const refused = {
      no_windows_until: '2026-03-01T18:40:00.000Z',
      windows: quoteExample.windows.slice(0, 1),
    };
    const text = textOf({ ...refused, completion_window: 'soonest' }, '2026-03-02T07:00:00.000Z');
    expect(text).toMatch(
      /→ soonest would be bought\. No discount .* refused by the upstream until 2026-03-01/,
    );
  });

  it('says what is unknown, and fits all the same', () => {
    const unknown = { expected_usd: null, most_usd: null, saved_usd: null, answer_by: null };
    const lines = linesOf({
      ...{ expected_usd: null, most_usd: null, most_output_tokens: null, is_long_input: true },
      ...{ input_tokens: 300_000, waiting_for: 'the daily budget of the research department '.repeat(4) },
      windows: quoteExample.windows.map((window) => ({ ...window, ...unknown })),
    });
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
    const text = lines.join(' ').replaceAll(/ +/g, ' ');
    expect(text).toContain('Its price is unknown: set "prices"');
    expect(text).toContain('at most: unknown, no max_output_tokens');
    expect(text).toContain('more than 272,000');
  });
});
