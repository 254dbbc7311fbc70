import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';

/** ScriptValue is an argument of a script. Redis passes it to Lua as a string of bytes. */
export type ScriptValue = string | number | Buffer;

/**
 * LuaLibrary is Lua that several scripts share: local functions that use named keys and arguments. A script
 * that uses a library takes the library's keys and arguments too, under the same names.
 */
export interface LuaLibrary<Key extends string = string, Arg extends string = string> {
  readonly keys: readonly Key[];
  readonly args: readonly Arg[];
  /**
   * texts are the Lua texts of the libraries that this library uses, then its own text. Each text occurs once
   * in a script, even when several libraries use it.
   */
  readonly texts: readonly string[];
}

/** ScriptCall has the keys and arguments of one call of a script, by name. */
export interface ScriptCall<Key extends string, Arg extends string> {
  readonly keys: Readonly<Record<Key, string>>;
  readonly args: Readonly<Record<Arg, ScriptValue>>;
  /** rest holds the further arguments of a script that declares `rest`. */
  readonly rest?: readonly ScriptValue[];
}

/**
 * Script is a piece of Lua that Redis runs as one step: no other command runs between two of its lines, and
 * no crash leaves half of its writes.
 */
export interface Script<Key extends string = string, Arg extends string = string> {
  /** name is unique, stands in the script's first line, and looks like `run.finish`. */
  readonly name: string;
  /** sha identifies the script in MONITOR and SLOWLOG. */
  readonly sha: string;
  readonly keys: readonly Key[];
  readonly args: readonly Arg[];
  readonly lua: string;
  run(redis: Redis | Cluster, call: ScriptCall<Key, Arg>): Promise<unknown>;
}

interface LuaDefinition<Key extends string, Arg extends string, Used extends LuaLibrary> {
  /** keys are the names of Redis keys. Each is a local variable in the Lua text. */
  readonly keys?: readonly Key[];
  /** args are the names of arguments, also local variables. */
  readonly args?: readonly Arg[];
  /** uses lists the libraries whose functions the Lua text calls. */
  readonly uses?: readonly Used[];
  readonly lua: string;
}

interface ScriptDefinition<Key extends string, Arg extends string, Used extends LuaLibrary>
  extends LuaDefinition<Key, Arg, Used> {
  readonly name: string;
  /** rest names the list of all further arguments. */
  readonly rest?: string;
}

type KeyOf<Used extends LuaLibrary> = Used extends LuaLibrary<infer Key, string> ? Key : never;
type ArgOf<Used extends LuaLibrary> = Used extends LuaLibrary<string, infer Arg> ? Arg : never;

export function defineLibrary<
  const Key extends string = never,
  const Arg extends string = never,
  const Used extends LuaLibrary = never,
>({
  keys = [],
  args = [],
  uses = [],
  lua,
}: LuaDefinition<Key, Arg, Used>): LuaLibrary<Key | KeyOf<Used>, Arg | ArgOf<Used>> {
  return {
    keys: union<Key | KeyOf<Used>>(keys, ...uses.map((library) => library.keys as KeyOf<Used>[])),
    args: union<Arg | ArgOf<Used>>(args, ...uses.map((library) => library.args as ArgOf<Used>[])),
    texts: union<string>(...uses.map((library) => library.texts), [lua]),
  };
}

/**
 * defineScript declares a script. The names of the keys and arguments become locals in front of the Lua text,
 * so that neither Lua nor TypeScript counts positions: with `keys: ['lock']` the text says `redis.call('GET',
 * lock)`, and `run` requires `{ keys: { lock } }`.
 */
export function defineScript<
  const Key extends string = never,
  const Arg extends string = never,
  const Used extends LuaLibrary = never,
>({
  name,
  rest,
  ...definition
}: ScriptDefinition<Key, Arg, Used>): Script<Key | KeyOf<Used>, Arg | ArgOf<Used>> {
  const { keys, args, texts } = defineLibrary<Key, Arg, Used>(definition);
  const lua = [`-- ${name}`, locals('KEYS', keys), locals('ARGV', args), restOf(rest, args.length), ...texts]
    .filter((part) => part !== '')
    .join('\n');
  const sha = createHash('sha1').update(lua).digest('hex');
  return {
    name,
    sha,
    keys,
    args,
    lua,
    async run(redis, call) {
      const values = [
        ...keys.map((key) => call.keys[key]),
        ...args.map((arg) => call.args[arg]),
        ...(call.rest ?? []),
      ];
      try {
        return await redis.evalsha(sha, keys.length, ...values);
      } catch (error: unknown) {
        // A Redis that has just started, or the new master of a failover, does not know the script yet.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return redis.eval(lua, keys.length, ...values);
      }
    },
  };
}

function union<Name extends string>(...lists: readonly (readonly Name[])[]): Name[] {
  return [...new Set(lists.flat())];
}

function locals(list: 'KEYS' | 'ARGV', names: readonly string[]): string {
  if (names.length === 0) return '';
  return `local ${names.join(', ')} = ${names.map((_, i) => `${list}[${i + 1}]`).join(', ')}`;
}

/** restOf copies the arguments in a loop, because `unpack` fails on lists of thousands. */
function restOf(name: string | undefined, named: number): string {
  if (name === undefined) return '';
  return `local ${name} = {}\nfor i = ${named + 1}, #ARGV do ${name}[i - ${named}] = ARGV[i] end`;
}
