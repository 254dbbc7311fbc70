import { elapsedMs, endMs, isFinished, objectOf, type Run, stop } from '../response/run.ts';
import type { Store } from '../response/store.ts';
import { startEventStream } from './event-stream.ts';
import type { Exchange } from './exchange.ts';
import type { Reply } from './reply.ts';
import { streamFormOf } from './stream-form.ts';

/**
 * Delivery sends each reply on its connection. When the simulator closes, it ends the replies that are still
 * being sent.
 */
export type Delivery = {
  deliver(exchange: Exchange, reply: Reply): void;
  /** Resets every open connection, as a server does when it goes down. */
  resetAll(): void;
  close(): void;
};

export type DeliveryDeps = { readonly store: Store; readonly now: () => number };

const DEFAULT_EVENTS_BEFORE_FAULT = { cut: 4, eof: 4, mute: 0 } as const;

export function createDelivery({ store, now }: DeliveryDeps): Delivery {
  const open = new Map<() => void, Exchange>();

  /** Calls `onClose` once, when the connection is closed by either side. */
  const track = (exchange: Exchange, onClose: () => void): void => {
    const release = (): void => {
      if (open.delete(release)) onClose();
    };
    open.set(release, exchange);
    if (exchange.response.destroyed) release();
    else exchange.response.once('close', release);
  };

  /** Stops a foreground response whose caller hung up. The response can then no longer be looked up. */
  const hangUp = (run: Run): void => {
    if (run.script.request.background) return;
    const wasFinished = isFinished(run, now());
    stop(run, now());
    if (!wasFinished || !run.script.request.store) store.remove(run);
  };

  const sendWhenFinished = (exchange: Exchange, { run, headers }: Extract<Reply, { kind: 'wait' }>): void => {
    let timer: NodeJS.Timeout | undefined;
    const wait = (): void => {
      const leftMs = endMs(run) - elapsedMs(run, now());
      if (leftMs <= 0) exchange.sendJson(200, objectOf(run, now()), headers);
      // A timer may fire a little early, so this checks the time again. A response that never ends needs no
      // timer.
      else if (Number.isFinite(leftMs)) timer = setTimeout(wait, Math.ceil(leftMs));
    };
    track(exchange, () => {
      clearTimeout(timer);
      hangUp(run);
    });
    wait();
  };

  const sendEvents = (exchange: Exchange, reply: Extract<Reply, { kind: 'stream' }>): void => {
    const { run } = reply;
    const { response } = exchange;
    const form = streamFormOf(run.faults.form, reply.obfuscated);
    exchange.openStream(form.contentType, reply.headers);
    const stream = startEventStream({
      run,
      startingAfter: reply.startingAfter,
      form,
      eventLimit: nextEventLimit(run),
      now,
      write: (text) => response.write(text),
      onEnd: (reason) => {
        if (reason === 'terminal' || run.faults.stream === 'eof') response.end();
        else if (run.faults.stream === 'cut') cutAfterFlush(exchange);
      },
    });
    response.on('drain', stream.resume);
    track(exchange, () => {
      stream.close();
      hangUp(run);
    });
  };

  return {
    deliver: (exchange, reply) => {
      switch (reply.kind) {
        case 'json':
          return exchange.sendJson(200, reply.body, reply.headers);
        case 'created':
          return exchange.sendJson(200, reply.body, reply.headers);
        case 'html':
          return exchange.sendHtml(reply.status);
        case 'odd':
          return exchange.sendOdd(reply.reply);
        case 'wait':
          return sendWhenFinished(exchange, reply);
        case 'stream':
          return sendEvents(exchange, reply);
        case 'reset':
          if (reply.run) hangUp(reply.run);
          return exchange.reset();
        case 'hang': {
          const { run } = reply;
          return track(exchange, () => run && hangUp(run));
        }
        default: {
          const never: never = reply;
          return never;
        }
      }
    },
    resetAll: () => {
      for (const exchange of [...open.values()]) exchange.reset();
    },
    close: () => {
      for (const release of [...open.keys()]) release();
    },
  };
}

/** Returns how many events this connection gets: all events, or only those before its stream fault. */
function nextEventLimit(run: Run): number {
  const { stream: fault } = run.faults;
  const { sim_connections: faulty = 1, sim_events: events } = run.script.request.sim.numbers;
  run.connections += 1;
  if (fault === undefined || run.connections > faulty) return Number.POSITIVE_INFINITY;
  return events ?? DEFAULT_EVENTS_BEFORE_FAULT[fault];
}

/**
 * The events before the cut must arrive, so the socket is destroyed only after the last of them is written.
 */
function cutAfterFlush({ response }: Exchange): void {
  response.write('', () => response.destroy());
}
