import { isObject } from '../api/json.ts';
import type { Conversation } from '../request/conversation.ts';
import type { Offer, Tool } from '../request/tools.ts';
import { sampleOf } from '../sample/schema-sample.ts';
import { matchOf } from '../sample/string-sample.ts';

/**
 * ToolCall is a call that a response makes. `text` is its arguments as JSON, or the input of a custom tool.
 */
export type ToolCall = { readonly kind: Tool['kind']; readonly name: string; readonly text: string };

type WantedCall = ToolCall & {
  /** Whether the call waits until those before it have been answered. */
  readonly isLater: boolean;
};

/** How many characters of a question are searched for the end of a call's arguments. */
const MAX_INPUT = 10_000;

/**
 * The words of a question that call a tool, as docs/SIMULATOR.md describes them: `call weather`, and then, if
 * the question says so, `with {"city": "Bern"}` or, in backquotes, the input of a custom tool.
 */
const WORDS =
  /\b(then\s+)?(?:call|use|run)\s+(?:the\s+)?(?:tool\s+|function\s+)?["'`]?([\w.-]*\w)["'`]?(\s+with\s+)?/giu;

/**
 * toolCallsOf returns the calls with which a response ends; none: it ends with a text. The calls that the
 * question asks for come in its order. Those that have been answered are not made again. A response that has
 * to call a tool, and whose question names none that is left, calls the first one.
 */
export function toolCallsOf(offer: Offer, conversation: Conversation, isParallel: boolean): ToolCall[] {
  const { tools, isForced } = offer;
  const [next, ...others] = wantedCalls(conversation.question, tools).slice(conversation.toolOutputs.length);
  if (next !== undefined) {
    const end = isParallel ? others.findIndex(({ isLater }) => isLater) : 0;
    return [next, ...(end === -1 ? others : others.slice(0, end))];
  }
  const [first] = tools;
  return isForced && first !== undefined
    ? [{ kind: first.kind, name: first.name, text: sampleInput(first) }]
    : [];
}

function wantedCalls(question: string, tools: readonly Tool[]): WantedCall[] {
  const calls: WantedCall[] = [];
  if (tools.length === 0) return calls;
  const words = new RegExp(WORDS);
  for (let match = words.exec(question); match !== null; match = words.exec(question)) {
    const [, later, name, withInput] = match;
    const tool = tools.find((one) => one.name === name);
    if (tool === undefined) continue;
    const given = withInput === undefined ? undefined : givenInput(question.slice(words.lastIndex), tool);
    // Words inside the input call nothing.
    words.lastIndex += given?.length ?? 0;
    calls.push({
      kind: tool.kind,
      name: tool.name,
      text: given?.text ?? sampleInput(tool),
      isLater: later !== undefined,
    });
  }
  return calls;
}

/** givenInput reads the input with which a text begins, and how long it is there. */
function givenInput(text: string, { kind }: Tool): { text: string; length: number } | undefined {
  if (kind === 'custom') {
    const quoted = /^`([^`]*)`/.exec(text);
    return quoted === null ? undefined : { text: quoted[1] ?? '', length: quoted[0].length };
  }
  if (!text.startsWith('{')) return undefined;
  for (let end = text.indexOf('}'); end !== -1 && end < MAX_INPUT; end = text.indexOf('}', end + 1)) {
    const json = text.slice(0, end + 1);
    if (isJson(json)) return { text: json, length: json.length };
  }
  return undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** sampleInput makes up what the tool is called with. A Lark grammar is not followed. */
function sampleInput(tool: Tool): string {
  if (tool.kind === 'function') return JSON.stringify(sampleOf(tool.parameters) ?? {});
  const { format } = tool;
  const isPattern =
    isObject(format) && format['syntax'] === 'regex' && typeof format['definition'] === 'string';
  return (isPattern ? matchOf(`^(?:${String(format['definition'])})$`) : undefined) ?? 'simulated';
}
