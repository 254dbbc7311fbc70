import { countText, distanceText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { Quote, QuotedWindow } from '../../src/usage/quote.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { localTime } from '../time-option.ts';
import { borderlessTable, type Column } from './borderless-table.ts';
import type { Terminal } from './terminal.ts';
import { linesOf, wrappedText } from './wrapped-text.ts';

const COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'ANSWER' },
  { title: 'LIKELY', align: 'right' },
  { title: 'AT MOST', align: 'right' },
  { title: 'SAVES', align: 'right' },
  { title: 'EXPECTED', shortest: 10 },
];
const TAKEN = '→';

/**
 * quoteText shows what a job would cost, and when it would be answered, to a reader who has never seen a
 * completion window. The arrow marks the window in which the job would be bought.
 *
 * @param asked.neededBy the time of `--by` in ISO 8601; undefined: there was none.
 * @param asked.now in Unix milliseconds.
 */
export function quoteText(
  quote: Quote,
  { neededBy, now }: { neededBy: string | undefined; now: number },
  terminal: Terminal,
): string {
  const rows = quote.windows.map((window) => rowOf(window, quote, now));
  return [
    'A quote: nothing was asked, stored or paid.',
    '',
    borderlessTable(COLUMNS, rows, terminal),
    '',
    ...choiceNotes(quote, neededBy, now).flatMap((note) => linesOf(note, terminal)),
    '',
    ...factLines('Model', modelText(quote), terminal),
    ...factLines('Input', inputText(quote), terminal),
    ...factLines('', sideText(quote), terminal),
    ...factLines('Output', outputText(quote), terminal),
    ...factLines('', mostText(quote), terminal),
    ...factLines('Waits', `for ${oneLine(quote.waiting_for)}`, terminal),
  ].join('\n');
}

/** The width of the names of facts, and a gap. */
const INDENT = 8;

function factLines(name: string, text: string, terminal: Terminal): string[] {
  const columns = terminal.columns();
  const width = columns === undefined ? undefined : Math.max(20, columns - INDENT);
  const lines = width === undefined ? [text] : wrappedText(text, width, width);
  return lines.map((line, i) => (i === 0 ? name : '').padEnd(INDENT) + line);
}

function rowOf(window: QuotedWindow, quote: Quote, now: number): string[] {
  const { completion_window: name, expected_usd: expected, most_usd: most, saved_usd: saved } = window;
  const percent = `${Math.round(window.discount * 100)} %`;
  return [
    name === quote.completion_window ? TAKEN : '',
    windowText(name),
    expected === null ? 'unknown' : aboutUsd(expected),
    most === null ? 'unknown' : formatUsd(most),
    window.discount === 0 ? '' : saved === null ? percent : `${aboutUsd(saved)} (${percent})`,
    expectedText(window, now),
  ];
}

/** Two digits: what is likely is an estimate. */
function aboutUsd(usd: number): string {
  return formatUsd(Number(usd.toPrecision(2)));
}

function windowText(name: string): string {
  return name === 'soonest' ? 'soonest' : `within ${oneLine(name)}`;
}

function expectedText({ completion_window: name, answer_by: by }: QuotedWindow, now: number): string {
  if (by === null) return 'unknown';
  return name === 'soonest' ? distanceText(by, now) : `by ${localTime(new Date(by))}`;
}

/** Says which window would be taken and why, what would be cheaper, and why nothing may be. */
function choiceNotes(quote: Quote, neededBy: string | undefined, now: number): string[] {
  const { no_windows_until: until } = quote;
  const refusal =
    until === null
      ? []
      : [`No discount for a later answer: refused by the upstream until ${localTime(new Date(until))}.`];
  return [...windowNotes(quote, neededBy, now), ...refusal];
}

function windowNotes(quote: Quote, neededBy: string | undefined, now: number): string[] {
  const { completion_window: taken, windows } = quote;
  const cheapest = windows.at(-1);
  const cheaper = cheapest !== undefined && cheapest.completion_window !== taken ? cheapest : undefined;
  if (neededBy !== undefined) {
    const by = `Needed by ${localTime(new Date(neededBy))} (${distanceText(neededBy, now)})`;
    if (taken === 'soonest' && windows.length > 1)
      return [`${by}: too soon for a discount, so soonest would be bought.`];
    return [`${by}: ${TAKEN} ${windowText(taken)} would be bought.`];
  }
  if (cheaper === undefined || cheaper.discount === 0) {
    return taken === 'soonest' ? [] : [`The request itself asks for ${TAKEN} ${windowText(taken)}.`];
  }
  const saved = cheaper.saved_usd === null ? '' : `, and save about ${aboutUsd(cheaper.saved_usd)}`;
  return [
    `${TAKEN} would be bought. If the answer may come later, say until when: --by "in 12 hours" would ` +
      `buy ${windowText(cheaper.completion_window)}${saved}.`,
  ];
}

function modelText({ model, upstream_model: upstream, expected_usd: expected }: Quote): string {
  const name = model === upstream ? oneLine(model) : `${oneLine(model)}, which is ${oneLine(upstream)}`;
  return expected === null
    ? `${name}. Its price is unknown: set "prices" in o3q.config.json`
    : `${name}, at list prices`;
}

function inputText({ input_tokens: tokens, input_basis: basis }: Quote): string {
  return `${countText(tokens, 'token')}, ${oneLine(basis)}`;
}

function sideText({ is_long_input: isLong }: Quote): string {
  return isLong
    ? 'more than 272,000: the higher price of long requests, if the model has one'
    : 'up to 272,000: the normal price';
}

function outputText({ output_tokens: tokens, output_basis: basis }: Quote): string {
  return `about ${countText(tokens, 'token')}, ${oneLine(basis)}`;
}

function mostText({ most_output_tokens: most }: Quote): string {
  return most === null ? 'at most: unknown, no max_output_tokens' : `at most ${countText(most, 'token')}`;
}
