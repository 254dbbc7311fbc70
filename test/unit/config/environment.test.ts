import { readClientConfig } from '../../../src/config/client.ts';
import { readConfig, VARIABLES } from '../../../src/config/environment.ts';
import { ConfigError } from '../../../src/errors/setup-error.ts';
import { DEFAULTS, flawsIn, messageOf, useConfigFiles, WEBHOOK_SECRET } from '../../support/config-files.ts';

const NO_PROXY = { http: undefined, https: undefined, except: undefined };

const file = useConfigFiles();

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
      ack: 'memory',
      keys: [],
      workerPort: undefined,
      concurrency: 2000,
      shutdownMs: 10_000,
      logLevel: 'info',
      openai: { apiKey: undefined, baseUrl: undefined, proxy: NO_PROXY, webhookSecret: undefined },
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
        O3Q_ACK: 'replica',
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
      openai: {
        apiKey: 'sk-1234',
        baseUrl: 'https://example.test/v1',
        proxy: NO_PROXY,
        webhookSecret: 'whsec_1234',
      },
      signingSecret: WEBHOOK_SECRET,
      allowPrivateWebhooks: true,
      defaultModel: 'mini',
      concurrency: 1,
      workerPort: 3001,
      shutdownMs: 0,
      prefix: 'my-jobs_2',
      ack: 'replica',
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
    ['O3Q_ACK', 'paper', 'memory'],
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

describe('the proxies on the way to the upstream', () => {
  it('may be named in capitals or in small letters, which count first', () => {
    const capitals = { HTTPS_PROXY: 'http://big:3128', HTTP_PROXY: 'http://plain:3128', NO_PROXY: 'a,b' };
    const { proxy } = readConfig(capitals).openai;
    expect(proxy).toEqual({ https: 'http://big:3128', http: 'http://plain:3128', except: 'a,b' });
    const small = { https_proxy: 'http://small:3128', no_proxy: '*', http_proxy: '' };
    expect(readConfig({ ...capitals, ...small }).openai.proxy).toEqual({
      https: 'http://small:3128',
      http: 'http://plain:3128',
      except: '*',
    });
  });

  it('are refused in one message, without their passwords', () => {
    expect(flawsIn({ https_proxy: 'proxy:3128', HTTP_PROXY: 'socks5://me:secret@proxy' })).toEqual([
      'HTTPS_PROXY: expected a URL that begins with http:// or https://, got "proxy:3128"',
      'HTTP_PROXY: expected a URL that begins with http:// or https://',
    ]);
  });
});
