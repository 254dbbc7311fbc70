import Table from 'cli-table3';

const GAP = 2;

export interface Columns {
  /** The width of each column in cells; null: as wide as its content. Default: all null. */
  widths?: (number | null)[];
  /** Default: all left. */
  alignments?: ('left' | 'right')[];
}

/** createTable makes a table without borders. */
export function createTable(head: string[], { widths = [], alignments = [] }: Columns = {}) {
  // No colours of cli-table3, which ignores NO_COLOR.
  const style = { head: [], border: [], 'padding-left': 0, 'padding-right': GAP };
  return new Table({ head, colWidths: widths, colAligns: alignments, chars: NO_BORDERS, style });
}

/** tableText renders a table without blanks at the ends of lines. */
export function tableText(table: Table.Table): string {
  // cli-table3 cuts text between code units, which can leave half an emoji.
  return table
    .toString()
    .replace(/\p{Surrogate}/gu, '')
    .replace(/[ \t]+$/gm, '');
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
