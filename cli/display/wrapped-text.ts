import type { Terminal } from './terminal.ts';

/** Characters that most terminals draw two cells wide: East Asian scripts and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * wrappedText breaks a text without colours into lines. It breaks between words, and inside a word that is
 * wider than a line.
 *
 * @param width the width of a line in cells.
 * @param first the width of the first line, which follows a label.
 */
export function wrappedText(text: string, width: number, first: number): string[] {
  return text.split('\n').flatMap((line, index) => wrappedLine(line, width, index === 0 ? first : width));
}

/**
 * linesOf breaks a text without colours into the lines that it takes on a terminal. In a pipe it is one line.
 */
export function linesOf(text: string, terminal: Terminal): string[] {
  const columns = terminal.columns();
  return columns === undefined ? [text] : wrappedText(text, columns, columns);
}

function wrappedLine(line: string, width: number, first: number): string[] {
  const lines: string[] = [];
  let current = '';
  const room = (): number => (lines.length === 0 ? first : width) - cellsOf(current);
  const breakLine = (): void => {
    lines.push(current.trimEnd());
    current = '';
  };
  // Each piece is a word with the blanks after it. Blanks before the first word are a piece of their own.
  for (const piece of line.split(/(?<=\s)(?=\S)/)) {
    const isTooWide = (): boolean => cellsOf(piece.trimEnd()) > room();
    if (isTooWide() && current.trim() !== '') breakLine();
    if (!isTooWide()) current += piece;
    else {
      for (const { segment } of characters.segment(piece)) {
        if (cellsOf(segment) > room() && current !== '') breakLine();
        current += segment;
      }
    }
  }
  lines.push(current.trimEnd());
  return lines;
}

/** cellsOf counts the cells that a text without colours takes on a terminal. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const { segment } of characters.segment(text)) cells += WIDE.test(segment) ? 2 : 1;
  return cells;
}

/** cutText cuts a text without colours to a width in cells. A text that is cut ends with `…`. */
export function cutText(text: string, width: number): string {
  /** What stays if the text is cut: all that leaves a cell for the `…`. */
  let kept = '';
  let cells = 0;
  for (const { segment } of characters.segment(text)) {
    cells += cellsOf(segment);
    if (cells > width) return `${kept}…`;
    if (cells < width) kept += segment;
  }
  return text;
}
