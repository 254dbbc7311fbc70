import { chmod, mkdir, realpath } from 'node:fs/promises';
import { RedisUnavailableError } from '../../errors/setup-error.ts';
import { type LaunchedServer, launchServer, PortInUseError, type ServerExit } from './launcher.ts';
import { findFreePort } from './local-port.ts';
import { type Ownership, takeOwnership } from './owner-file.ts';
import { type ResolutionOptions, type ResolvedServer, resolveServer } from './resolution-order.ts';
import { makePassword } from './server-password.ts';

/** EmbeddedRedisOptions say which server to start, and where it keeps its data. */
export type EmbeddedRedisOptions = ResolutionOptions & {
  /**
   * The server's folder. It is created with mode 0700 if it is missing. Only one server may run in a folder.
   */
  readonly dataDir: string;
  /**
   * Whether each write goes to the append-only file, which is synced every second. Default true. With false
   * everything stays in memory and is lost at the end (for tests).
   */
  readonly appendOnly?: boolean;
  /**
   * Whether clients need a password, which is made once for each folder. Default false (for tests, whose
   * servers replicate each other).
   */
  readonly protect?: boolean;
  /**
   * Chooses the port. It is called up to three times while its port turns out to be in use. Default: any free
   * port.
   */
  readonly choosePort?: () => Promise<number>;
};

/** EmbeddedRedis is a running server that this process owns. */
export type EmbeddedRedis = {
  /** The URL of the server, with its password if it has one. */
  readonly url: string;
  readonly port: number;
  /** The process id of the server. */
  readonly pid: number;
  /** One line for the log: which server runs, where, and with which data. */
  readonly description: string;
  /**
   * Resolves when the server has ended. If the end was not `expected`, the program that started the server
   * logs it and exits with code 1.
   */
  readonly exited: Promise<ServerExit>;
  /** Stops the server, keeps its data and gives up the folder. It may be called twice. */
  stop(): Promise<void>;
};

const PORT_TRIES = 3;

/**
 * startEmbeddedRedis starts a real Redis or Valkey as a child of this process. The server stops when this
 * process ends, even by SIGKILL.
 * @throws RedisUnavailableError when there is no server, when it does not start, or when another process owns
 * the folder.
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const server = await resolveServer(options);
  const dataDir = await makeDataDir(options.dataDir);
  const ownership = await takeOwnership(dataDir);
  const appendOnly = options.appendOnly ?? true;
  try {
    const password = options.protect === true ? await makePassword(dataDir) : undefined;
    const launched = await launchOnFreePort(server, ownership, {
      dataDir,
      appendOnly,
      password,
      choosePort: options.choosePort ?? findFreePort,
    });
    // Another process may take the folder only after the server is gone.
    const exited = launched.exited.then(async (exit) => {
      await ownership.release();
      return exit;
    });
    return {
      url: `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${launched.port}`,
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
      `The embedded Redis cannot keep its data in ${path} (${String(error)}). ` +
        'Start it in a folder that you can write to, or set REDIS_URL',
      { cause: error },
    );
  }
}

async function launchOnFreePort(
  binary: ResolvedServer,
  ownership: Ownership,
  {
    choosePort,
    ...options
  }: Required<Pick<EmbeddedRedisOptions, 'dataDir' | 'appendOnly' | 'choosePort'>> & {
    password: string | undefined;
  },
): Promise<LaunchedServer> {
  for (let tries = 1; ; tries += 1) {
    const port = await choosePort();
    // The port is written first: after a crash, the process that takes over must find the server even if it
    // was just starting.
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
  const origin = `${server.origin}, ${server.path}`;
  return `redis: ${server.name} ${server.version} (${origin}) on 127.0.0.1:${port}, ${data}`;
}
