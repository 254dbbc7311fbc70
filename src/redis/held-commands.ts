import { Cluster, type Redis } from 'ioredis';
import { describeRefusal, isRedisAway, isRedisRefusal } from './refusal.ts';

/** How often the oldest refused command is tried again, in milliseconds. */
const TRY_AGAIN_MS = 250;

type Send = Redis['sendCommand'];
type Command = Parameters<Send>[0];

interface HeldCommand {
  readonly command: Command;
  /** What ioredis calls with an error reply. ioredis wraps it again each time it sends a script. */
  readonly reject: (error: Error) => void;
  /** Fails the command for good. */
  readonly fail: (error: Error) => void;
}

/**
 * holdRefusedCommands keeps the commands that Redis refuses (`isRedisRefusal`) and sends them again, in their
 * order, until Redis accepts them or the client is closed. ioredis itself keeps commands only while it has no
 * connection. In a cluster ioredis does not keep even these commands: it fails them while it looks for the
 * new master. With this function, callers only wait longer when Redis is full, read-only or fails over.
 *
 * A refused command has changed nothing: Redis either refuses a script at its first write or accepts all its
 * writes. The exception is a script whose user lacks the right to a later command; assertRedisUsable checks
 * these rights at the start. Commands of pipelines and transactions are not held.
 *
 * @param onRefused called with each refusal, until Redis accepts commands again.
 */
export function holdRefusedCommands(client: Redis | Cluster, onRefused: (error: Error) => void): void {
  const send: Send = client.sendCommand.bind(client);
  const known = new WeakSet<Command>();
  /** The commands to whose promise the handler `passed` is already attached. */
  const watched = new WeakSet<Command>();
  let held: HeldCommand[] = [];
  /** The command that is being tried again; the others follow when it passes. */
  let tried: HeldCommand | undefined;
  let timer: NodeJS.Timeout | undefined;

  const sendAgain = ({ command, reject }: HeldCommand): void => {
    command.reject = reject;
    send(command);
  };

  const sendAll = (): void => {
    const all = held;
    held = [];
    for (const one of all) sendAgain(one);
  };

  const tryOldest = (): void => {
    timer = undefined;
    tried = held.shift();
    if (tried === undefined) return;
    const { command } = tried;
    if (!watched.has(command)) {
      watched.add(command);
      const passed = (): void => {
        if (tried?.command !== command) return;
        tried = undefined;
        sendAll();
      };
      command.promise.then(passed, passed);
    }
    sendAgain(tried);
  };

  const hold = (refused: HeldCommand, error: Error): void => {
    onRefused(new Error(`Redis refuses commands, which wait until it takes them: ${describeRefusal(error)}`));
    if (tried?.command === refused.command) {
      tried = undefined;
      held.unshift(refused);
    } else held.push(refused);
    // The cluster's slots are read again here, because ioredis follows a redirection only for a command's
    // first sending.
    if (client instanceof Cluster) client.refreshSlotsCache();
    timer ??= setTimeout(tryOldest, TRY_AGAIN_MS);
  };

  client.sendCommand = (command: Command, ...rest: unknown[]): unknown => {
    // Commands of a pipeline are not held: a pipeline writes to its own stream and collects its answers
    // itself.
    if (rest[0] === undefined && !known.has(command)) {
      known.add(command);
      const fail = command.reject.bind(command);
      const reject = (error: Error): void => {
        if (mustWait(client, error)) hold({ command, reject, fail }, error);
        else fail(error);
      };
      command.reject = reject;
    }
    return (send as (...all: unknown[]) => unknown)(command, ...rest);
  };

  client.on('end', () => {
    clearTimeout(timer);
    timer = undefined;
    const all = held;
    held = [];
    for (const { fail } of all) fail(new Error('Connection is closed.'));
  });
}

function mustWait(client: Redis | Cluster, error: Error): boolean {
  // A cluster's client sends the first commands of its connections by other means, so they need no exception.
  if (client instanceof Cluster) return client.status !== 'end' && isRedisAway(error);
  // Refusals of ioredis's own first commands (password, database) fail the connection, not a command.
  return !['connecting', 'connect', 'end'].includes(client.status) && isRedisRefusal(error);
}
