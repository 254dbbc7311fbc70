import Table from 'cli-table3';

const GAP = 2;

export interface Columns {
  /** In cells; null, as wide as it likes. Default: all of them. */
  widths?: (number | null)[];
  /** Default: all to the left. */
  alignments?: ('left' | 'right')[];
}

/** Columns with nothing between them but room. */
export function createTable(head: string[], { widths = [], alignments = [] }: Columns = {}) {
  // cli-table3's own colours know nothing of NO_COLOR.
  const style = { head: [], border: [], 'padding-left': 0, 'padding-right': GAP };
  return new Table({ head, colWidths: widths, colAligns: alignments, chars: NO_BORDERS, style });
}

/** Without blanks at the ends of lines. */
export function tableText(table: Table.Table): string {
  // cli-table3 cuts between code units: half an emoji would be left over.
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
