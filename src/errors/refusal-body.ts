import type { RefusalForm } from './failure.ts';
import { furtherFields } from './further-fields.ts';

/** RefusalBody is the content of a refusal in OpenAI's fields, for any form of body. */
export interface RefusalBody {
  message: string;
  type: string | null;
  param: string | null;
  code: string | null;
  form: RefusalForm;
  /** The other fields of the error, without headers and keys; undefined: it has no others. */
  more?: Readonly<Record<string, unknown>> | undefined;
}

/** The fields of an error that `RefusalBody` has under their own names. */
const OPENAI_FIELDS = ['message', 'type', 'param', 'code'];
/** The fields from which the words are taken when an error has another form than OpenAI's. */
const WORDS = [...OPENAI_FIELDS, 'error', 'object', 'error_description', 'Message', 'msg', 'error_code'];

const LONGEST_MESSAGE = 1000;

/**
 * refusalBodyFrom reads the body of a refusal: OpenAI's envelope, another server's JSON, a page or plain
 * text.
 */
export function refusalBodyFrom(text: string, contentType: string): RefusalBody {
  if (isPage(text, contentType)) return plain(wordsOfPage(text), 'page');
  const json = parsed(text);
  const body = json === undefined ? undefined : errorIn(json);
  if (body !== undefined) return body;
  const words = text.trim();
  return plain(words === '' ? 'it gave no reason' : words, json === undefined ? 'text' : 'json');
}

/** isPage says whether a body is HTML. */
export function isPage(text: string, contentType: string): boolean {
  return contentType.includes('text/html') || /^\s*<(!doctype|html|head|body|\?xml)/i.test(text);
}

/**
 * errorIn finds the error in a JSON body; undefined: it has none. It knows the forms of OpenAI
 * (`{error: {message, type, param, code}}`), vLLM (`{object: "error", message, type, code}`), FastAPI
 * (`{detail}`), xAI (`{code, error: "…"}`), Google (`[{error}]`), Cloudflare (`{errors: […]}`), problem+json
 * (`{title, detail}`), OpenRouter (`{error: {message, metadata: {raw}}}`) and gateways (`{message}`,
 * `{code, msg}`, `{error_code, error_msg}`).
 */
export function errorIn(json: unknown): RefusalBody | undefined {
  if (Array.isArray(json)) return errorIn(json[0]);
  if (!hasFields(json)) return undefined;
  const { error, detail, errors } = json;
  if (hasFields(error)) {
    const message = text(error['message']) ?? text(error['detail']) ?? text(error['metadata']);
    const isEnvelope = typeof error['message'] === 'string';
    const provider = wordsOfProvider(error);
    return {
      message: bounded([message ?? JSON.stringify(error), ...provider].join(': ')),
      type: text(error['type']) ?? text(error['status']) ?? null,
      param: text(error['param']) ?? null,
      code: text(error['code']) ?? null,
      form: isEnvelope ? 'envelope' : 'json',
      more: furtherFields(error, OPENAI_FIELDS),
    };
  }
  const base = {
    type: text(json['type']) ?? null,
    param: text(json['param']) ?? null,
    more: furtherFields(json, WORDS),
  };
  const code = text(json['code']) ?? text(json['error_code']) ?? null;
  if (typeof error === 'string' && error !== '') {
    const more = text(json['message']) ?? text(json['error_description']);
    return {
      ...base,
      code,
      message: bounded(more === undefined ? error : `${error}: ${more}`),
      form: 'json',
    };
  }
  if (hasFields(detail) && !Array.isArray(detail)) {
    const inner = errorIn(detail) ?? plain(JSON.stringify(detail), 'json');
    return { ...inner, form: 'json' };
  }
  if (detail !== undefined && detail !== null) {
    const message = Array.isArray(detail) ? detail.map(flaw).join('; ') : String(detail);
    return { ...base, code, message: bounded(message), form: 'json' };
  }
  if (Array.isArray(errors) && errors.length > 0) {
    const [first] = errors;
    const inner = hasFields(first) ? errorIn({ error: first }) : plain(String(first), 'json');
    return inner && { ...inner, form: 'json', more: base.more };
  }
  const message =
    text(json['message']) ??
    text(json['Message']) ??
    text(json['msg']) ??
    text(json['error_msg']) ??
    text(json['title']) ??
    text(json['reason']);
  return message === undefined ? undefined : { ...base, code, message: bounded(message), form: 'json' };
}

/**
 * Returns what the provider behind OpenRouter said. OpenRouter's own message is only "Provider returned
 * error".
 */
function wordsOfProvider(error: Record<string, unknown>): string[] {
  const { metadata, message } = error;
  const raw = hasFields(metadata) && typeof message === 'string' ? metadata['raw'] : undefined;
  if (typeof raw !== 'string' || raw === '') return [];
  return [errorIn(parsed(raw))?.message ?? raw];
}

/** An entry of FastAPI's `detail`: `{loc: ["body", "max_output_tokens"], msg, type}`. */
function flaw(entry: unknown): string {
  if (!hasFields(entry)) return String(entry);
  const place = Array.isArray(entry['loc']) ? entry['loc'].filter((part) => part !== 'body').join('.') : '';
  const message = text(entry['msg']) ?? text(entry['message']) ?? JSON.stringify(entry);
  return place === '' ? message : `${place}: ${message}`;
}

function plain(message: string, form: RefusalForm): RefusalBody {
  return { message: bounded(message), type: null, param: null, code: null, form };
}

/** Returns what a person would read on a page: its title, or else the beginning of its text. */
function wordsOfPage(page: string): string {
  const start = page.slice(0, 20_000);
  const title =
    /<title[^>]*>([^<]*)<\/title>/i.exec(start)?.[1] ?? /<h1[^>]*>([^<]*)<\/h1>/i.exec(start)?.[1];
  const visible = start.replace(/<(script|style)[\s\S]*?(<\/\1>|$)/gi, ' ').replace(/<[^>]*(>|$)/g, ' ');
  const words = (title?.trim() || visible).replace(/\s+/g, ' ').trim().slice(0, 200);
  return words === '' ? 'a web page' : `a web page: ${words}`;
}

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === undefined || value === null ? undefined : JSON.stringify(value);
}

function bounded(message: string): string {
  return message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE)}…` : message;
}

export function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** hasFields also accepts lists, whose words are quoted as they came. */
function hasFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
