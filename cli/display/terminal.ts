import { styleText } from 'node:util';
import { printable } from '../../src/client/terminal-text.ts';

export type Style = Parameters<typeof styleText>[0];

/** Terminal is stdout or stderr, which a person reads (a terminal) or a program (a pipe, a file). */
export interface Terminal {
  readonly stream: NodeJS.WriteStream;
  readonly isTerminal: boolean;
  /** The width of a line in cells; undefined when it is not limited. */
  columns(): number | undefined;
  /** Colours a text if the stream has colours: on a terminal, unless NO_COLOR is set. */
  paint(style: Style, text: string): string;
  /** Writes a line of our own text. Text from outside must first pass through `oneLine` or `printable`. */
  line(text: string): void;
  /** Writes a text from outside: unchanged for a program, without control characters on a terminal. */
  foreignText(text: string): void;
  /** Writes a piece of a text from outside in the same way, without a line end. */
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

/** unlimited returns the terminal with lines of any width, for `-o wide`. */
export function unlimited(terminal: Terminal): Terminal {
  return { ...terminal, columns: () => undefined };
}
