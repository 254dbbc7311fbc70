import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readClientConfig } from '../../../src/config/client.ts';
import { readConfig, secretsOf, VARIABLES } from '../../../src/config/environment.ts';
import { defaultModels, readConfigFile } from '../../../src/config/file.ts';
import { ConfigError } from '../../../src/errors/setup-error.ts';

/** What holds without a file. */
const DEFAULTS = { ...defaultModels(), http: { requestsPerMinute: 60_000 }, hasBuiltInModels: true };

/** The shortest that is taken: 24 bytes. */
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'o3q-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, 'o3q.config.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function flawsIn(environment: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(environment);
  } catch (error: unknown) {
    if (error instanceof ConfigError) return error.flaws.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
  return [];
}

describe('the variables', () => {
  it('are all optional', () => {
    expect(readConfig({})).toEqual({
      ...DEFAULTS,
      redisUrl: undefined,
      redisBinary: undefined,
      redisDownload: true,
      prefix: 'o3q',
      host: '127.0.0.1',
      port: 3000,
      keys: [],
      workerPort: undefined,
      concurrency: 2000,
      shutdownMs: 10_000,
      logLevel: 'info',
      openai: { apiKey: undefined, baseUrl: undefined, webhookSecret: undefined },
      signingSecret: undefined,
    });
    expect(readClientConfig({})).toEqual({ url: 'http://127.0.0.1:3000', apiKey: undefined });
  });

  it('count as unset when they are empty', () => {
    const empty = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '']));
    expect(readConfig(empty)).toEqual(readConfig({}));
  });

  it('are all read', () => {
    expect(
      readConfig({
        REDIS_URL: 'redis://:hunter22@example.test:6380/2',
        HOST: '0.0.0.0',
        PORT: '0',
        O3Q_KEYS: 'admin:correct-horse-battery',
        OPENAI_API_KEY: 'sk-1234',
        OPENAI_BASE_URL: 'https://example.test/v1',
        OPENAI_WEBHOOK_SECRET: 'whsec_1234',
        O3Q_SIGNING_SECRET: WEBHOOK_SECRET,
        O3Q_CONFIG: file({ models: { mini: {} }, allowPrivateWebhooks: true }),
        O3Q_CONCURRENCY: '1',
        O3Q_WORKER_PORT: '3001',
        O3Q_SHUTDOWN_MS: '0',
        O3Q_PREFIX: 'my-jobs_2',
        O3Q_REDIS_BIN: '/usr/bin/redis-server',
        O3Q_REDIS_DOWNLOAD: '0',
        LOG_LEVEL: 'debug',
        O3Q_URL: 'http://example.test',
        O3Q_API_KEY: 'secret',
        HOME: '/root',
      }),
    ).toMatchObject({
      redisUrl: 'redis://:hunter22@example.test:6380/2',
      host: '0.0.0.0',
      port: 0,
      keys: [{ name: 'admin', secret: 'correct-horse-battery' }],
      openai: { apiKey: 'sk-1234', baseUrl: 'https://example.test/v1', webhookSecret: 'whsec_1234' },
      signingSecret: WEBHOOK_SECRET,
      allowPrivateWebhooks: true,
      defaultModel: 'mini',
      concurrency: 1,
      workerPort: 3001,
      shutdownMs: 0,
      prefix: 'my-jobs_2',
      redisBinary: '/usr/bin/redis-server',
      redisDownload: false,
      logLevel: 'debug',
    });
    expect(readClientConfig({ O3Q_URL: 'http://example.test/o3//', O3Q_API_KEY: 'secret' })).toEqual({
      url: 'http://example.test/o3',
      apiKey: 'secret',
    });
  });

  it('cannot be changed after they are read, at any depth', () => {
    const config = readConfig({});
    expect(
      Object.isFrozen(config) && Object.isFrozen(config.openai) && Object.isFrozen(config.models['o3']),
    ).toBe(true);
  });

  it.each([
    ['PORT', '65536', 'a whole number from 0 to 65535'],
    ['PORT', '-1', 'a whole number'],
    ['PORT', '0x50', 'a whole number'],
    ['PORT', '80 ', 'a whole number'],
    ['O3Q_CONCURRENCY', '0', 'from 1 to 100000'],
    ['O3Q_CONCURRENCY', '1e3', 'a whole number'],
    ['O3Q_SHUTDOWN_MS', '2147483648', 'a whole number from 0 to 2147483647'],
    ['O3Q_PREFIX', 'a:b', '1 to 64 letters'],
    ['O3Q_PREFIX', '{o3}', '1 to 64 letters'],
    ['O3Q_REDIS_DOWNLOAD', 'yes', '"0"|"1"'],
    ['LOG_LEVEL', 'loud', '"trace"|"debug"|"info"|"warn"|"error"|"fatal"|"silent"'],
    ['OPENAI_BASE_URL', 'example.test/v1', 'begins with http:// or https://'],
  ])('%s=%s is refused with what was expected and what came', (name, value, expected) => {
    const flaws = flawsIn({ [name]: value });
    expect(flaws).toHaveLength(1);
    expect(flaws[0]).toMatch(new RegExp(`^${name}: .*xpected`));
    expect(flaws[0]).toContain(expected);
    expect(flaws[0]).toContain(`got "${value}"`);
  });

  it.each([
    'localhost:6379',
    'http://localhost:6379',
    'redis://',
    'redis://localhost:99999',
    'redis+sentinel://localhost:26379',
    'redis://:50%off@localhost',
  ])('REDIS_URL=%s is refused at the start, not at the first connection', (url) => {
    expect(flawsIn({ REDIS_URL: url })).toEqual([expect.stringMatching(/^REDIS_URL: Not a Redis URL/)]);
  });

  it.each([
    WEBHOOK_SECRET.replace('whsec_', ''),
    `whsec_${Buffer.alloc(23, 7).toString('base64')}`,
    `whsec_${Buffer.alloc(65, 7).toString('base64')}`,
    `${WEBHOOK_SECRET}A`,
    `${WEBHOOK_SECRET}=`,
  ])('O3Q_SIGNING_SECRET=%s is refused and not quoted', (secret) => {
    const [flaw = '', ...others] = flawsIn({ O3Q_SIGNING_SECRET: secret });
    expect(flaw).toMatch(/^O3Q_SIGNING_SECRET: expected whsec_ and 24 to 64 bytes in base64/);
    expect(flaw).not.toContain(secret);
    expect(others).toEqual([]);
  });

  it('with unknown names that begin with O3Q_ are refused, and the known names are listed', () => {
    const flaws = flawsIn({ O3Q_CONCURENCY: '5', O3Q_: 'x', o3q_port: 'x', XO3Q_PORT: 'x' });
    expect(flaws).toHaveLength(2);
    for (const [i, name] of ['O3Q_CONCURENCY', 'O3Q_'].entries()) {
      expect(flaws[i]).toContain(
        `${name}: is not a variable of o3-queue; the variables are REDIS_URL, HOST,`,
      );
      expect(flaws[i]).toContain('O3Q_CONCURRENCY');
    }
  });

  it('with an old name are refused, and the new name is said', () => {
    expect(flawsIn({ O3Q_WEBHOOK_SECRET: WEBHOOK_SECRET })).toEqual([
      'O3Q_WEBHOOK_SECRET: is now called O3Q_SIGNING_SECRET; rename it and keep its value',
    ]);
  });

  it('are checked together with the file, with every flaw in one message', () => {
    const path = file({
      models: { 'no good': {}, o3: { maxAttempts: 0, timeout: 5 } },
      retention: { completedHours: -1 },
    });
    const environment = {
      PORT: 'x',
      O3Q_CONCURRENCY: '0',
      O3Q_TYPO: '1',
      REDIS_URL: 'nowhere',
      O3Q_CONFIG: path,
    };
    expect(() => readConfig(environment)).toThrow(ConfigError);
    const said = messageOf(environment);
    expect(said).toMatch(/^The configuration has 8 problems:\n/);
    for (const part of [
      ...['- PORT: ', '- O3Q_CONCURRENCY: ', '- O3Q_TYPO: ', '- REDIS_URL: '],
      ...[`- ${path}: models.no good: `, `- ${path}: models.o3.maxAttempts: `, `- ${path}: models.o3: `],
      `- ${path}: retention.completedHours: `,
    ]) {
      expect(said).toContain(part);
    }
  });
});

function messageOf(environment: NodeJS.ProcessEnv): string {
  try {
    readConfig(environment);
  } catch (error: unknown) {
    if (error instanceof Error) return error.message;
  }
  throw new Error('expected the configuration to be refused');
}

describe('secrets', () => {
  const secret = 'hunter2-hunter2';
  it.each([
    { OPENAI_API_KEY: secret, PORT: 'x' },
    { O3Q_API_KEY: secret, PORT: 'x' },
    { REDIS_URL: `redis://user:${secret}@localhost:99999` },
    { REDIS_URL: `localhost:6379?password=${secret}` },
    { REDIS_URL: `redis://:${secret}/x@localhost` },
    { REDIS_URL: `redis://user:1/${secret}@localhost` },
    { REDIS_URL: `redis+sentinel://user:1/${secret}@localhost` },
    { OPENAI_BASE_URL: `htp://user:${secret}@example.test` },
    { O3Q_URL: `htp://user:${secret}@example.test`, O3Q_PREFIX: ':' },
  ])('are not in any message: %j', (environment) => {
    expect(messageOf(environment)).not.toContain('hunter2');
  });

  it('are known to the log both as written and decoded', () => {
    const config = readConfig({
      OPENAI_API_KEY: 'sk-1234',
      OPENAI_WEBHOOK_SECRET: 'whsec_1234',
      O3Q_SIGNING_SECRET: WEBHOOK_SECRET,
      REDIS_URL: 'redis://user:p%40ss%2Fword@localhost',
      OPENAI_BASE_URL: 'https://user:other@example.test/v1',
    });
    expect(secretsOf(config)).toEqual([
      'sk-1234',
      'whsec_1234',
      WEBHOOK_SECRET,
      'p%40ss%2Fword',
      'other',
      'p@ss/word',
    ]);
  });

  it('are empty for a configuration without secrets', () => {
    expect(secretsOf(readConfig({}))).toEqual([]);
    expect(secretsOf(readConfig({ REDIS_URL: 'redis://user@localhost' }))).toEqual([]);
    expect(secretsOf(readConfig({ REDIS_URL: 'redis+sentinel://a:1,b:2/NAME' }))).toEqual([]);
  });
});

describe('the file', () => {
  it('may omit every setting', () => {
    expect(readConfigFile(file({}))).toEqual(DEFAULTS);
    expect(readConfigFile(file({ http: {} }))).toEqual(DEFAULTS);
  });

  it('that names no models has the built-in o3, with fallbacks that a configured o3 does not have', () => {
    const { o3 } = DEFAULTS.models;
    expect(o3).toMatchObject({ upstream: 'o3', fallbacks: ['gpt-6.1-sol', 'gpt-6.2-sol'] });
    expect(readConfigFile(file({ models: { o3: {} } }))).toEqual({
      ...DEFAULTS,
      models: { o3: { ...o3, fallbacks: [] } },
      hasBuiltInModels: false,
    });
  });

  it('gives each model its upstream, and names the default model', () => {
    expect(
      readConfigFile(file({ models: { fast: { upstream: 'o4-mini', maxAttempts: 2 }, slow: {} } })),
    ).toMatchObject({
      defaultModel: 'fast',
      models: {
        fast: {
          upstream: 'o4-mini',
          maxAttempts: 2,
          timeoutMs: 3_600_000,
          backoff: { baseMs: 1000, maxMs: 60_000 },
        },
        slow: { upstream: 'slow', maxAttempts: 5 },
      },
    });
    expect(readConfigFile(file({ models: { a: {}, o3: {} } }))).toMatchObject({ defaultModel: 'o3' });
    expect(readConfigFile(file({ models: { a: {}, o3: {} }, defaultModel: 'a' }))).toMatchObject({
      defaultModel: 'a',
    });
  });

  it.each<[content: unknown, where: string, said: RegExp]>([
    ['{"models": ', '', /cannot be read as JSON/],
    ['', '', /cannot be read as JSON/],
    ['null', '(top)', /expected object/],
    [[], '(top)', /expected object/],
    [{ model: {} }, '(top)', /"model"/],
    [{ models: {} }, 'models', /expected at least one model/],
    [{ models: { 'a b': {} } }, 'models.a b', /./],
    ['{"models": {"__proto__": {}}}', 'models', /./],
    [{ models: { ['x'.repeat(65)]: {} } }, `models.${'x'.repeat(65)}`, /./],
    [
      { models: { o3: { maxAtempts: 3 } } },
      'models.o3',
      /expected only upstream, .*maxAttempts, .*, got "maxAtempts"$/,
    ],
    [{ models: { o3: { upstream: '' } } }, 'models.o3.upstream', />=1/],
    [{ models: { o3: { maxAttempts: 1.5 } } }, 'models.o3.maxAttempts', /int/],
    [{ models: { o3: { timeoutMs: 2_147_483_648 } } }, 'models.o3.timeoutMs', /<=2147483647/],
    [{ models: { o3: { backoff: { baseMs: -1 } } } }, 'models.o3.backoff.baseMs', />=0/],
    [{ defaultModel: 'o9' }, 'defaultModel', /expected one of .*, got "o9"/],
    [
      { models: { o3: { fallbacks: ['o3'] } } },
      'models.o3.fallbacks.0',
      /expected a different model each time, got "o3" again/,
    ],
    [
      { models: { o3: { fallbacks: ['gpt-5', 'gpt-5'] } } },
      'models.o3.fallbacks.1',
      /expected a different model each time, got "gpt-5" again/,
    ],
    [
      { models: { sol: { upstream: 'gpt-5.6-sol' }, o3: { fallbacks: ['sol'] } } },
      'models.o3.fallbacks.0',
      /expected the upstream's name of a model, perhaps "gpt-5.6-sol", got the alias "sol"/,
    ],
    [{ defaultModel: 'toString' }, 'defaultModel', /expected one of .*, got "toString"/],
    [{ retention: { completedHours: 0 } }, 'retention.completedHours', />0/],
    [{ retention: { failedHours: 1e300 } }, 'retention.failedHours', /<=876600/],
    [{ http: { requestsPerMinute: 0 } }, 'http.requestsPerMinute', />=1/],
    [{ http: { requests: 5 } }, 'http', /"requests"/],
  ])('is refused with the place of the flaw: %j', (content, where, said) => {
    const path = file(content);
    const flaws = flawsIn({ O3Q_CONFIG: path });
    expect(flaws).toEqual([expect.stringMatching(said)]);
    expect(flaws[0]?.startsWith(where === '' ? `${path}: ` : `${path}: ${where}`)).toBe(true);
  });

  it('is refused with a wrong default model and all other flaws in one message', () => {
    const path = file({
      defaultModel: 'o9',
      models: { o3: { maxAttempts: 0 } },
      retention: { failedHours: -1 },
    });
    expect(flawsIn({ O3Q_CONFIG: path, PORT: 'x' })).toEqual([
      expect.stringContaining('PORT'),
      expect.stringContaining('models.o3.maxAttempts'),
      expect.stringContaining('retention.failedHours'),
      expect.stringContaining('defaultModel: expected one of o3, got "o9"'),
    ]);
  });

  it('must exist when O3Q_CONFIG names it', () => {
    expect(flawsIn({ O3Q_CONFIG: join(folder, 'missing.json') })).toEqual([
      expect.stringContaining('ENOENT'),
    ]);
    expect(flawsIn({ O3Q_CONFIG: folder })).toEqual([expect.stringContaining('EISDIR')]);
  });
});
