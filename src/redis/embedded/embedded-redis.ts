import { chmod, mkdir, realpath } from 'node:fs/promises';
import { RedisUnavailableError } from '../unavailable-error.ts';
import { type LaunchedServer, launchServer, PortInUseError, type ServerExit } from './launcher.ts';
import { findFreePort } from './local-port.ts';
import { type Ownership, takeOwnership } from './owner-file.ts';
import { type ResolutionOptions, type ResolvedServer, resolveServer } from './resolution-order.ts';

export type EmbeddedRedisOptions = ResolutionOptions & {
  /** The server's folder, created with mode 0700 when missing. One running server per folder. */
  readonly dataDir: string;
  /**
   * Whether each write goes to the append-only file, synced every second. Default true; false keeps
   * everything in memory and loses it at the end (for tests).
   */
  readonly appendOnly?: boolean;
  /** Asked again, three times in all, when its port turns out to be in use. Default: any free port. */
  readonly choosePort?: () => Promise<number>;
};

export type EmbeddedRedis = {
  readonly url: string;
  readonly port: number;
  /** Of the server. */
  readonly pid: number;
  /** One line for the log: which server, where, with which data. */
  readonly description: string;
  /** Resolves when the server has ended; unless `expected`, log it and end the program with code 1. */
  readonly exited: Promise<ServerExit>;
  /** Stops the server, data kept, and gives up the folder. May be called twice. */
  stop(): Promise<void>;
};

const PORT_TRIES = 3;

/**
 * Starts a real Redis or Valkey of this machine as our own child, and stops it with us however we end.
 * Throws RedisUnavailableError when there is none, when it does not start, or when another process owns the folder.
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const server = await resolveServer(options);
  const dataDir = await makeDataDir(options.dataDir);
  const ownership = await takeOwnership(dataDir);
  const appendOnly = options.appendOnly ?? true;
  try {
    const launched = await launchOnFreePort(server, ownership, {
      dataDir,
      appendOnly,
      choosePort: options.choosePort ?? findFreePort,
    });
    // Only once the server is gone may another process have the folder.
    const exited = launched.exited.then(async (exit) => {
      await ownership.release();
      return exit;
    });
    return {
      url: `redis://127.0.0.1:${launched.port}`,
      port: launched.port,
      pid: launched.pid,
      description: describe(server, launched.port, options.dataDir, appendOnly),
      exited,
      stop: async () => {
        await launched.stop();
        await exited;
      },
    };
  } catch (error: unknown) {
    await ownership.release();
    throw error;
  }
}

async function makeDataDir(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o700);
    return await realpath(path);
  } catch (error: unknown) {
    throw new RedisUnavailableError(
      `The embedded Redis cannot keep its data in ${path} (${String(error)}). Start it in a folder that you may write to, or set REDIS_URL`,
      { cause: error },
    );
  }
}

async function launchOnFreePort(
  binary: ResolvedServer,
  ownership: Ownership,
  { choosePort, ...options }: Required<Pick<EmbeddedRedisOptions, 'dataDir' | 'appendOnly' | 'choosePort'>>,
): Promise<LaunchedServer> {
  for (let tries = 1; ; tries += 1) {
    const port = await choosePort();
    // Written first: whoever takes over after our death must find the server even if it is just starting.
    await ownership.setPort(port);
    try {
      return await launchServer({ ...options, binary, port });
    } catch (error: unknown) {
      if (!(error instanceof PortInUseError) || tries === PORT_TRIES) throw error;
    }
  }
}

function describe(server: ResolvedServer, port: number, dataDir: string, appendOnly: boolean): string {
  const data = appendOnly ? `data in ${dataDir} (append-only file)` : `nothing kept on disk`;
  return `redis: ${server.name} ${server.version} (${server.origin}, ${server.path}) on 127.0.0.1:${port}, ${data}`;
}
