import { styleText } from 'node:util';
import { printable } from '../../src/client/terminal-text.ts';

export type Style = Parameters<typeof styleText>[0];

/** stdout or stderr, which a person reads (a terminal) or a program (a pipe, a file). */
export interface Terminal {
  readonly stream: NodeJS.WriteStream;
  readonly isTerminal: boolean;
  /** undefined where nothing limits a line. */
  columns(): number | undefined;
  /** The text in colour, where there are colours: on a terminal, unless NO_COLOR is set. */
  paint(style: Style, text: string): string;
  /** Writes our own words and what has been made harmless already. */
  line(text: string): void;
  /** Writes a text from outside: untouched for a program, without control characters for a person. */
  foreignText(text: string): void;
  /** The same for a part of one, which ends where it ends. */
  foreignPiece(text: string, style?: Style): void;
}

export function createTerminal(stream: NodeJS.WriteStream): Terminal {
  // A pipe has neither isTTY nor hasColors.
  const isTerminal = stream.isTTY === true;
  const hasColors = isTerminal && stream.hasColors();
  return {
    stream,
    isTerminal,
    columns: () => (isTerminal ? stream.columns : undefined),
    paint: (style, text) => (hasColors ? styleText(style, text) : text),
    line: (text) => {
      stream.write(`${text}\n`);
    },
    foreignPiece: (text, style) => {
      const harmless = isTerminal ? printable(text) : text;
      stream.write(hasColors && style !== undefined ? styleText(style, harmless) : harmless);
    },
    foreignText: (text) => {
      stream.write(`${isTerminal ? printable(text) : text}${text.endsWith('\n') ? '' : '\n'}`);
    },
  };
}
