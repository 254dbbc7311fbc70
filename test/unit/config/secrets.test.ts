import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig, secretsOf } from '../../../src/config/environment.ts';
import { messageOf, WEBHOOK_SECRET } from '../../support/config-files.ts';

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

describe('a secret in a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'o3q-secrets-'));
  const fileWith = (content: string, name = 'secret'): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  afterAll(() => rmSync(folder, { recursive: true }));

  it('counts as the variable of the name before _FILE, without the line break at its end', () => {
    const config = readConfig({
      O3Q_KEYS_FILE: fileWith('admin:0123456789abcdef\n', 'keys'),
      OPENAI_API_KEY_FILE: fileWith('sk-file\r\n', 'key'),
      REDIS_URL_FILE: fileWith('redis://:hunter2@localhost:6379', 'redis'),
      // Compose files often set a variable to nothing.
      OPENAI_API_KEY: '',
    });
    expect(config.keys).toEqual([{ name: 'admin', secret: '0123456789abcdef' }]);
    expect(config.openai.apiKey).toBe('sk-file');
    expect(secretsOf(config)).toEqual(['sk-file', '0123456789abcdef', 'hunter2']);
  });

  it.each([
    ['is missing', () => ({ O3Q_KEYS_FILE: join(folder, 'nowhere') }), 'no such file or directory'],
    ['is empty', () => ({ OPENAI_API_KEY_FILE: fileWith('\n') }), 'OPENAI_API_KEY_FILE: names an empty file'],
    [
      'stands beside the variable',
      () => ({ OPENAI_API_KEY_FILE: fileWith('hunter2'), OPENAI_API_KEY: 'sk-1' }),
      'OPENAI_API_KEY_FILE: is set beside OPENAI_API_KEY; set one of them',
    ],
    ['has no valid secret', () => ({ O3Q_SIGNING_SECRET_FILE: fileWith('hunter2') }), 'expected whsec_'],
    ['belongs to no secret', () => ({ O3Q_PREFIX_FILE: fileWith('a') }), 'is not a variable of o3-queue'],
  ])('is refused with a sentence when it %s', (_when, environment, sentence) => {
    const message = messageOf(environment());
    expect(message).toContain(sentence);
    expect(message).not.toContain('hunter2');
  });
});
