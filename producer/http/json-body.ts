import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import express, { type Request, type RequestHandler, type Response } from 'express';
import { createSemaphore } from '../../src/async/semaphore.ts';
import { parseExact } from '../../src/job/exact-json.ts';
import { callerOf } from '../access/caller.ts';
import { type BodyMemory, bodyRoom, createBodyMemory, type HeldMemory } from './body-memory.ts';
import { HttpProblem } from './http-problem.ts';

/** JsonBodies reads the bodies of all routes that take JSON. */
export interface JsonBodies {
  /**
   * read reads a body of JSON, with the digits of its numbers as they were sent, and refuses one that cannot
   * be read exactly. A large body waits until there is memory for it.
   */
  readonly read: RequestHandler;
  /**
   * drop forgets the body of a request, gives back its memory, and lets the next heavy body be parsed. Call it when the handler does not need the
   * body any more. Otherwise that happens at the end of the answer, which may be minutes later.
   */
  drop(request: Request): void;
}

export interface JsonBodiesOptions {
  /** The longest body, in bytes, after it was unpacked. */
  mostBytes: number;
  /** Default: as much as `bodyRoom` allows. */
  memory?: BodyMemory;
  /** How long a large body waits for memory, in milliseconds. Default 10,000. */
  waitMs?: number;
  /** How long a large body may take without regard to its pace, in milliseconds. Default 10,000. */
  graceMs?: number;
  /** How long the heaviest bodies wait for one of them at most, in milliseconds. Default 1000. */
  turnMs?: number;
}

/**
 * Bodies of this many bytes and more are parsed and stored one after the other, with a rest between two as
 * long as the first one took. Otherwise each of the turns of the event loop that a small request needs would
 * last for a step (0.05 s for 10 MB) of all of them, and Redis would read all of them before a small one.
 */
const HEAVY_BYTES = 1024 ** 2;
/** Bodies of up to this many bytes do not wait for memory. Most requests are much smaller. */
const SMALL_BYTES = 100 * 1024;
/**
 * A large body must come this fast, in bytes a second. A slower one would keep others waiting for minutes.
 */
const LEAST_PACE = 64 * 1024;
/** How often the pace is looked at, in milliseconds. */
const LOOK_EVERY_MS = 1000;
/** How soon a caller may try again when there was no memory for its body, in milliseconds. */
const RETRY_MS = 5000;
/** Deflate packs a thousand bytes into one at best (https://zlib.net/zlib_tech.html). */
const MOST_INFLATED = 1032;

export function createJsonBodies({
  mostBytes,
  memory = createBodyMemory(bodyRoom(mostBytes)),
  waitMs = 10_000,
  graceMs = 10_000,
  turnMs = 1000,
}: JsonBodiesOptions): JsonBodies {
  const readBytes = express.raw({ type: 'application/json', limit: mostBytes });
  const held = new WeakMap<Request, HeldBody>();
  const turns = createSemaphore(1);

  /** @returns what ends the turn; undefined when the connection closed first. */
  const takeTurn = async (gone: AbortSignal): Promise<(() => void) | undefined> => {
    if (!(await turns.acquire(gone))) return undefined;
    const begunAt = performance.now();
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      setTimeout(() => turns.release(), performance.now() - begunAt).unref();
    };
    const timer = setTimeout(end, turnMs);
    return end;
  };

  const parse: RequestHandler = (request, response, next) => {
    readBytes(request, response, (error?: unknown) => {
      if (error !== undefined) return next(isTooLarge(error) ? tooLarge(mostBytes) : error);
      const { body } = request;
      if (!Buffer.isBuffer(body)) return next();
      const finish = (): void => {
        let flaw: unknown;
        try {
          request.body = jsonFrom(body, request.headers['content-type']);
        } catch (error: unknown) {
          flaw = error;
        }
        next(flaw);
      };
      const mine = held.get(request);
      if (mine === undefined) return finish();
      mine.room.shrink(body.length);
      // Each step with a body of 50 MB takes a tenth of a second. Other requests are answered between them.
      if (body.length < HEAVY_BYTES) return void setImmediate(finish);
      void takeTurn(mine.gone).then((endTurn) => {
        if (endTurn === undefined) return;
        mine.endTurn = endTurn;
        setImmediate(finish);
      });
    });
  };

  const parseLarge = async (
    request: Request,
    response: Response,
    next: (error?: unknown) => void,
    bytes: number,
  ): Promise<void> => {
    const given = new AbortController();
    response.once('close', () => given.abort());
    const timer = setTimeout(() => given.abort(), waitMs);
    const room = await memory.acquire(callerOf(response)?.tenant ?? '', bytes, given.signal);
    clearTimeout(timer);
    if (room === undefined) {
      if (response.closed) return;
      throw new HttpProblem(
        'body_memory_full',
        'This producer has no memory left for a body of this length: others are being read. Try again in a moment',
        { headers: { 'retry-after': String(RETRY_MS / 1000), 'retry-after-ms': String(RETRY_MS) } },
      );
    }
    const mine: HeldBody = { room, gone: given.signal, endTurn: () => {} };
    held.set(request, mine);
    response.once('close', () => release(mine));
    const pace = watchPace(request, graceMs, () => {
      next(
        new HttpProblem(
          'body_too_slow',
          `A large body was expected to come with ${LEAST_PACE / 1024} kB a second`,
          {
            // The rest of the body is not waited for.
            headers: { connection: 'close' },
          },
        ),
      );
      response.once('finish', () => request.destroy());
    });
    parse(request, response, (error?: unknown) => {
      if (!pace.isOver()) setImmediate(next, error);
    });
  };

  return {
    read(request, response, next) {
      const bytes = bytesOf(request, mostBytes);
      if (bytes <= SMALL_BYTES || bytes > mostBytes) return parse(request, response, next);
      return parseLarge(request, response, next, bytes);
    },
    drop(request) {
      request.body = undefined;
      const mine = held.get(request);
      if (mine !== undefined) release(mine);
    },
  };
}

/** HeldBody is a large body that is read, parsed or used. */
interface HeldBody {
  readonly room: HeldMemory;
  /** Aborts when the connection has closed. */
  readonly gone: AbortSignal;
  /** Lets the next heavy body be parsed, after a rest. */
  endTurn: () => void;
}

function release({ room, endTurn }: HeldBody): void {
  room.release();
  endTurn();
}

/**
 * Returns the length of a body in bytes at most: the declared length, or for a compressed body what may come
 * out of it.
 */
function bytesOf({ headers }: IncomingMessage, mostBytes: number): number {
  if (headers['transfer-encoding'] !== undefined) return mostBytes;
  const length = Number(headers['content-length'] ?? 0);
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding === 'identity') return length;
  return coding === 'gzip' || coding === 'deflate' ? Math.min(mostBytes, length * MOST_INFLATED) : mostBytes;
}

/** watchPace looks whether a body comes fast enough, until all of it is there. */
function watchPace(request: Request, graceMs: number, onSlow: () => void): { isOver(): boolean } {
  const begunAt = performance.now();
  const before = request.socket.bytesRead;
  let isOver = false;
  const timer = setInterval(
    () => {
      const tookMs = performance.now() - begunAt;
      if (tookMs < graceMs || request.socket.bytesRead - before >= (LEAST_PACE * tookMs) / 1000) return;
      clearInterval(timer);
      isOver = true;
      onSlow();
    },
    Math.min(LOOK_EVERY_MS, graceMs),
  );
  const stop = (): void => clearInterval(timer);
  request.once('end', stop);
  request.once('close', stop);
  return { isOver: () => isOver };
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'type' in error && error.type === 'entity.too.large';
}

function tooLarge(mostBytes: number): HttpProblem {
  const most = `${mostBytes / 1024 ** 2} MB`;
  return new HttpProblem(
    'body_too_large',
    `The body was expected to be at most ${most} (http.maxBodyMb of this instance), got more`,
  );
}

const BYTE_ORDER_MARK = 0xfeff;
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;

/** @throws {HttpProblem} `unsupported_media_type`, `malformed_json` */
function jsonFrom(bytes: Buffer, contentType = ''): unknown {
  const charset = CHARSET.exec(contentType)?.[1] ?? 'utf-8';
  if (!/^utf-?8$/i.test(charset)) {
    throw new HttpProblem(
      'unsupported_media_type',
      `The body was expected to be JSON in UTF-8: unsupported charset "${charset.toUpperCase()}"`,
    );
  }
  // The decoder replaces bytes that are not UTF-8: then another question than the caller's would be stored
  // and bought.
  if (!isUtf8(bytes)) {
    throw new HttpProblem(
      'malformed_json',
      'The body was expected to be JSON in UTF-8: got bytes that are not UTF-8',
    );
  }
  if (bytes.length === 0) return {};
  try {
    const text = bytes.toString();
    return parseExact(text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text);
  } catch (error: unknown) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HttpProblem('malformed_json', `The body was expected to be JSON: ${reason}`);
  }
}
