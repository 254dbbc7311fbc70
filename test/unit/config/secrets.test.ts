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
