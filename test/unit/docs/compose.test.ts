import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { Command } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import { registerProcessCommands } from '../../../cli/processes/commands.ts';
import { assertKeysOrLoopback, KeysRequiredError } from '../../../producer/access/access.ts';
import { readConfig, VARIABLES } from '../../../src/config/environment.ts';
import { PARSING_ONLY } from '../../support/parsing-only.ts';

const ROOT = join(__dirname, '../../..');
const TEXT = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');

const serviceSchema = z.looseObject({
  image: z.string(),
  build: z.string().optional(),
  pull_policy: z.string().optional(),
  command: z.array(z.string()),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  profiles: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  mem_limit: z.string(),
  logging: z.object({ options: z.record(z.string(), z.string()) }),
  restart: z.string(),
  stop_grace_period: z.string(),
});
const { services } = z
  .looseObject({ services: z.record(z.string(), serviceSchema) })
  .parse(parse(TEXT, { merge: true }));
type Service = z.infer<typeof serviceSchema>;

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')));

const O3Q_KEYS = 'admin:a-secret-of-the-test';
const { redis, ...ours } = services;
const processes = Object.entries(ours);

describe('docker-compose.yml', () => {
  it('has a Redis and each process of o3-queue', () => {
    expect(Object.keys(services).sort()).toEqual(['producer', 'redis', 'simulator', 'worker']);
  });

  it.each(processes)('gives the %s only variables that the configuration knows', (_name, { environment }) => {
    for (const [name, value] of Object.entries(environment)) {
      expect(Object.keys(VARIABLES)).toContain(name);
      // `A: ${B:-}` would be a typing mistake. A fixed value has no ${}.
      expect(substitutedNames(value).filter((substituted) => substituted !== name)).toEqual([]);
    }
  });

  it.each(processes)(
    'configures the %s without a flaw, whatever may be left unset',
    (_name, { environment }) => {
      const config = readConfig(resolved(environment, { O3Q_KEYS }));
      expect(config).toMatchObject({ redisDownload: true, prefix: 'o3q' });
    },
  );

  it('requires keys for the producer, because other containers can reach it', () => {
    const { environment } = service('producer');
    expect(() => resolved(environment, {})).toThrow('O3Q_KEYS: set it in .env');
    const { host, keys } = readConfig(resolved(environment, { O3Q_KEYS }));
    expect(keys).toEqual([{ name: 'admin', secret: 'a-secret-of-the-test' }]);
    expect(() => assertKeysOrLoopback({ host, keys })).not.toThrow();
    expect(() => assertKeysOrLoopback({ host, keys: [] })).toThrow(KeysRequiredError);
  });

  it('hands on the variables that are set outside', () => {
    const outside = {
      O3Q_KEYS,
      OPENAI_API_KEY: 'sk-outside',
      O3Q_CONCURRENCY: '7',
      O3Q_SHUTDOWN_MS: '60000',
    };
    const worker = readConfig(resolved(service('worker').environment, outside));
    expect(worker).toMatchObject({ openai: { apiKey: 'sk-outside' }, concurrency: 7, shutdownMs: 60_000 });
    expect(readConfig(resolved(service('producer').environment, outside)).shutdownMs).toBe(60_000);
  });

  it('substitutes only variables that .env.example explains', () => {
    expect(substitutedNames(TEXT).filter((name) => !Object.hasOwn(VARIABLES, name))).toEqual([]);
  });

  it('gives the key of the upstream to the worker only', () => {
    const holders = processes.filter(([, { environment }]) => 'OPENAI_API_KEY' in environment);
    expect(holders.map(([name]) => name)).toEqual(['worker']);
  });

  it.each(processes)(
    'runs the %s by a command that o3q has, with options that it takes',
    (_name, service) => {
      const [name, ...options] = service.command;
      const program = new Command();
      registerProcessCommands(program, PARSING_ONLY);
      const command = program.commands.find((candidate) => candidate.name() === name);
      expect(command?.parseOptions(options)).toEqual({ operands: [], unknown: [] });
    },
  );

  it('leaves the health of producer and worker to the check of the image, and asks the simulator for its models', () => {
    // A test of the Dockerfile has the check of the image, which takes the port from the same variables.
    expect(service('producer')).toMatchObject({ environment: { PORT: '3000' } });
    expect(service('worker')).toMatchObject({ environment: { O3Q_WORKER_PORT: '3001', HOST: '0.0.0.0' } });
    expect(service('producer').healthcheck ?? service('worker').healthcheck).toBeUndefined();
    const [, , , script] = service('simulator').healthcheck?.test ?? [];
    expect(script).toContain(
      `fetch('http://127.0.0.1:${optionOf(service('simulator'), '--port')}/v1/models')`,
    );
  });

  it('opens only the port of the producer, and only to this machine', () => {
    const opened = Object.entries(services).filter(([, { ports }]) => ports.length > 0);
    expect(opened.map(([name, { ports }]) => [name, ports])).toEqual([
      ['producer', [`127.0.0.1:\${PORT:-${VARIABLES.PORT.default}}:3000`]],
    ]);
    expect(service('producer').environment['PORT']).toBe('3000');
  });

  it('allows many workers', () => {
    expect(service('worker')).not.toHaveProperty('container_name');
    expect(service('worker').ports).toEqual([]);
  });

  it('starts the simulator only on request', () => {
    expect(service('simulator').profiles).toEqual(['simulator']);
    const always = processes.filter(([, { profiles }]) => profiles.length === 0).map(([name]) => name);
    expect(always.sort()).toEqual(['producer', 'worker']);
    expect(TEXT).toContain(`http://simulator:${optionOf(service('simulator'), '--port')}/v1`);
  });

  it('has a Redis that keeps accepted jobs and never evicts one', () => {
    const server = service('redis');
    expect(optionOf(server, '--appendonly')).toBe('yes');
    expect(optionOf(server, '--appendfsync')).toBe('everysec');
    expect(optionOf(server, '--maxmemory-policy')).toBe('noeviction');
    expect(server.volumes).toEqual(['redis-data:/data']);
  });

  it('bounds the memory and the logs of every container, and that of Redis itself below its container', () => {
    const bounds = Object.values(services).map(({ mem_limit, logging }) => [mem_limit, logging.options]);
    expect(bounds).toEqual(Object.keys(services).map(() => ['2g', { 'max-size': '10m', 'max-file': '5' }]));
    expect(optionOf(service('redis'), '--maxmemory')).toBe('1gb');
  });

  it.each(['producer', 'worker'])('starts the %s when its Redis is ready', (name) => {
    const { depends_on, environment } = service(name);
    expect(depends_on).toEqual({ redis: { condition: 'service_healthy' } });
    expect(new URL(environment['REDIS_URL'] ?? '').hostname).toBe('redis');
    expect(redis?.healthcheck?.test.join(' ')).toContain('redis-cli ping');
  });

  it.each(processes)('gives the %s more time to end than it takes by default', (_name, service) => {
    expect(secondsOf(service.stop_grace_period) * 1000).toBeGreaterThan(
      2 * Number(VARIABLES.O3Q_SHUTDOWN_MS.default),
    );
    expect(service.restart).toBe('unless-stopped');
  });

  it('builds one image once, and pulls it from no registry', () => {
    expect(new Set(processes.map(([, { image }]) => image))).toEqual(new Set([`o3-queue:${version}`]));
    const builds = processes.map(([name, { build, pull_policy }]) => [name, build, pull_policy]);
    expect(builds.sort()).toEqual([
      ['producer', '.', 'build'],
      ['simulator', undefined, 'never'],
      ['worker', undefined, 'never'],
    ]);
  });
});

describe('.env.example', () => {
  const example = readFileSync(join(ROOT, '.env.example'), 'utf8');
  const explained = [...example.matchAll(/^# (?<meaning>.+)\n# (?<name>[A-Z0-9_]+)=(?<value>.*)$/gm)].map(
    ({ groups }) => ({ name: groups?.['name'], meaning: groups?.['meaning'], default: groups?.['value'] }),
  );

  it('explains every variable with its default and its meaning, and no other variable', () => {
    expect(explained).toEqual(
      Object.entries(VARIABLES).map(([name, variable]) => ({
        name,
        meaning: variable.meaning.replaceAll('`', ''),
        // "embedded" is not a URL: an unset variable means it.
        default: name === 'REDIS_URL' ? '' : variable.default,
      })),
    );
  });

  it('changes nothing when it is copied as it is', () => {
    expect(parseEnv(example)).toEqual({});
  });
});

function service(name: string): Service {
  const found = services[name];
  if (found === undefined) throw new Error(`docker-compose.yml was expected to have a service ${name}`);
  return found;
}

function substitutedNames(text: string): string[] {
  return [...text.matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? '');
}

/**
 * resolved substitutes variables as compose does, in the two forms of the file: with a default, and required.
 */
function resolved(environment: Service['environment'], outside: Record<string, string>): NodeJS.ProcessEnv {
  const substitute = (text: string): string =>
    text.replace(/\$\{(\w+)(:-|\?)([^}]*)\}/g, (_all, name: string, form: string, words: string) => {
      if (form === '?' && outside[name] === undefined) throw new Error(`${name}: ${words}`);
      return outside[name] || words;
    });
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, substitute(value)]));
}

function optionOf({ command }: Service, option: string): string | undefined {
  return command.includes(option) ? command[command.indexOf(option) + 1] : undefined;
}

function secondsOf(duration: string): number {
  const [, amount, unit] = /^(\d+)(s|m)$/.exec(duration) ?? [];
  if (amount === undefined) throw new Error(`expected seconds or minutes, got ${duration}`);
  return Number(amount) * (unit === 'm' ? 60 : 1);
}
