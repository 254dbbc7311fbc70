import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Terminal } from './terminal.ts';
import { cellsOf, cutText } from './wrapped-text.ts';

const GAP = 2;

/** Column is one column of a table, and says how it shrinks on a narrow terminal. */
export interface Column {
  title: string;
  /** Default: left. */
  align?: 'left' | 'right';
  /**
   * The narrowest that the column may become, in cells. Texts that are cut end with `…`. Default: the column
   * is never cut.
   */
  shortest?: number;
  /** The order in which columns are left out, lowest first. Default: the column always stays. */
  leftOut?: number;
}

/**
 * borderlessTable renders rows without borders and without blanks at the ends of lines. A row has a text for
 * each column. On a terminal the table fits the width of a line: it narrows columns, the last one first, and
 * then leaves columns out, empty ones first. In a pipe every text is whole.
 */
export function borderlessTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  terminal: Terminal,
): string {
  const fitted = columnsThatFit(columns, rows, terminal.columns() ?? Number.POSITIVE_INFINITY);
  const table = createTable(
    fitted.map(({ column }) => terminal.paint('dim', column.title)),
    fitted.map(({ column }) => column.align ?? 'left'),
  );
  // Texts are cut here, because cli-table3 cuts between code units, which can leave half an emoji, and takes
  // time that grows with the square of a text's length.
  table.push(
    ...rows.map((row) =>
      fitted.map(({ index, width, natural }) => {
        const text = row[index] ?? '';
        return width < natural ? cutText(text, width) : text;
      }),
    ),
  );
  return table.toString().replace(/[ \t]+$/gm, '');
}

interface FittedColumn {
  column: Column;
  index: number;
  /** The width of the column in cells, without the gap to the next column. */
  width: number;
  /** The width of the column's widest text in cells. */
  natural: number;
}

function columnsThatFit(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  room: number,
): FittedColumn[] {
  let natural = columns.map((column, index) => {
    const cells = rows.map((row) => row[index] ?? '');
    const isEmpty = cells.every((cell) => cell === '');
    const width = widthOf(column.title, cells);
    return { column, index, width, natural: width, order: isEmpty ? -1 : column.leftOut };
  });
  for (;;) {
    const fitted = narrowed(natural, room);
    const next = Math.min(...natural.map(({ order }) => order ?? Number.POSITIVE_INFINITY));
    if (excess(fitted, room) <= 0 || next === Number.POSITIVE_INFINITY) return fitted;
    const out = natural.find(({ order }) => order === next);
    natural = natural.filter((each) => each !== out);
  }
}

function narrowed(natural: readonly FittedColumn[], room: number): FittedColumn[] {
  const fitted = natural.map((each) => ({ ...each }));
  for (const each of fitted.toReversed()) {
    const spare = Math.max(0, each.width - (each.column.shortest ?? each.width));
    each.width -= Math.min(spare, Math.max(0, excess(fitted, room)));
  }
  return fitted;
}

/** excess counts the cells by which a line is too wide. */
function excess(columns: readonly FittedColumn[], room: number): number {
  return columns.reduce((sum, { width }) => sum + width + GAP, -GAP) - room;
}

function widthOf(title: string, cells: readonly string[]): number {
  return Math.max(title.length, ...cells.map((cell) => cellsOf(stripVTControlCharacters(cell))));
}

function createTable(head: string[], alignments: ('left' | 'right')[]) {
  // cli-table3 would colour the table even with NO_COLOR, so its colours are off.
  const style = { head: [], border: [], 'padding-left': 0, 'padding-right': GAP };
  return new Table({ head, colAligns: alignments, chars: NO_BORDERS, style });
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};
