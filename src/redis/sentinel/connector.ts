import { connect as connectTcp, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'ioredis';
import { abortable } from '../../async/abortable.ts';
import type { HostAndPort } from '../url.ts';
import type { MasterWatch } from './master-watch.ts';

/** SentinelConnectorOptions configure the connections of one client and of its copies. */
export interface SentinelConnectorOptions {
  /** How long to wait after each failed try to find the master, in milliseconds. */
  readonly retryStrategy: (times: number) => number;
  /** How long ioredis keeps a connection after disconnect(), in milliseconds. */
  readonly disconnectTimeout: number;
  /** Returns the TLS options for a connection to this server; undefined: no TLS. */
  readonly tlsFor: (server: HostAndPort) => ConnectionOptions | undefined;
}

/**
 * sentinelConnector returns the ioredis option that connects to the master which the watch names. ioredis's
 * own connector believes the first sentinel that answers. So it may reach an old master that runs again.
 *
 * A connection is cut as soon as the watch no longer names its server, also before ioredis has finished its
 * first commands: an old master that hung may answer them after its thaw.
 */
export function sentinelConnector(
  watch: MasterWatch,
  { retryStrategy, disconnectTimeout, tlsFor }: SentinelConnectorOptions,
): NonNullable<RedisOptions['Connector']> {
  return class extends AbstractConnector {
    #left = new AbortController();

    constructor() {
      super(disconnectTimeout);
    }

    override async connect(report: (type: string, error: Error) => void): Promise<Socket> {
      this.connecting = true;
      this.#left = new AbortController();
      const { signal } = this.#left;
      for (let times = 1; ; times += 1) {
        try {
          return this.#open(await abortable(signal, () => watch.ask()), report);
        } catch (error: unknown) {
          if (signal.aborted) throw new Error('Connection is closed.');
          if (error instanceof Error) report('error', error);
          await changeOf(watch, retryStrategy(times), signal);
        }
      }
    }

    #open(master: HostAndPort, report: (type: string, error: Error) => void): Socket {
      const tls = tlsFor(master);
      const options: NetConnectOpts = { ...master };
      const stream = tls === undefined ? connectTcp(options) : connectTls({ ...options, ...tls });
      const leave = watch.onChange(() => {
        if (watch.isMaster(master)) return;
        report(
          'error',
          new Error(`Redis at ${master.host}:${master.port} is not the master any more; connecting again`),
        );
        stream.destroy();
      });
      stream.once('close', leave);
      stream.once('error', (error) => {
        this.firstError = error;
      });
      this.stream = stream;
      return stream;
    }

    /** ioredis calls this with the fields of `INFO`; false makes it connect again. */
    override check({ role }: { role?: string }): boolean {
      return role === undefined || role === 'master';
    }

    override disconnect(): void {
      this.#left.abort();
      super.disconnect();
    }
  };
}

/** Waits until the watch has news, but not longer than the limit, and not after the signal. */
function changeOf(watch: MasterWatch, limitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      end();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, limitMs);
    const end = watch.onChange(done);
    signal.addEventListener('abort', done, { once: true });
  });
}
