import { RedisUnavailableError } from '../../../src/errors/setup-error.ts';
import { maskRedisUrl, parseRedisUrl } from '../../../src/redis/url.ts';

function refusalOf(url: string): string {
  try {
    parseRedisUrl(url);
  } catch (error: unknown) {
    if (error instanceof RedisUnavailableError) return error.message;
    throw error;
  }
  throw new Error(`${url} was accepted`);
}

describe('a Redis URL', () => {
  it('names one server, on port 6379 and database 0 unless it says otherwise', () => {
    expect(parseRedisUrl('redis://localhost')).toEqual({
      kind: 'single',
      tls: false,
      server: { host: 'localhost', port: 6379 },
      database: 0,
      credentials: {},
    });
    expect(parseRedisUrl('redis://10.0.0.5:6400/3')).toMatchObject({
      server: { host: '10.0.0.5', port: 6400 },
      database: 3,
    });
    expect(parseRedisUrl('redis://[::1]:6400')).toMatchObject({ server: { host: '::1', port: 6400 } });
  });

  it.each([
    ['rediss://cache.example:6380', 'single'],
    ['rediss+sentinel://one,two/main', 'sentinel'],
    ['rediss+cluster://one,two', 'cluster'],
  ])('asks for TLS when it is %p', (url, kind) => {
    expect(parseRedisUrl(url)).toMatchObject({ kind, tls: true });
  });

  it('has its credentials percent-decoded', () => {
    expect(parseRedisUrl('redis://worker:p%40ss%2Fword@host')).toMatchObject({
      credentials: { username: 'worker', password: 'p@ss/word' },
    });
    expect(parseRedisUrl('redis://:secret@host')).toMatchObject({ credentials: { password: 'secret' } });
  });

  it('names sentinels and their master', () => {
    expect(parseRedisUrl('redis+sentinel://:secret@one:26380,two/main/2')).toEqual({
      kind: 'sentinel',
      tls: false,
      sentinels: [
        { host: 'one', port: 26380 },
        { host: 'two', port: 26379 },
      ],
      masterName: 'main',
      database: 2,
      credentials: { password: 'secret' },
    });
  });

  it('names the nodes of a cluster', () => {
    expect(parseRedisUrl('redis+cluster://one:7000,two:7001')).toEqual({
      kind: 'cluster',
      tls: false,
      nodes: [
        { host: 'one', port: 7000 },
        { host: 'two', port: 7001 },
      ],
      credentials: {},
    });
  });

  it.each([
    ['', 'it is empty'],
    ['localhost:6379', 'it does not begin with redis://'],
    ['http://localhost', 'unknown scheme'],
    ['redis://', 'the host is missing or malformed'],
    ['redis://one,two', 'redis:// takes one host'],
    ['redis://host:port', '"host:port" is not host:port'],
    ['redis://host:70000', 'port 70000 is not between 1 and 65535'],
    ['redis://host/database', '"database" is not a database number'],
    ['redis://host/0/1', 'only a database number may follow the host'],
    ['redis://host?db=1', 'nothing may follow ? or #'],
    ['redis://:100%@host', 'the user or password has a %'],
    ['redis+sentinel://one,two', 'the name of the master is missing'],
    ['redis+sentinel://one/main/0/1', 'only a database number may follow the name of the master'],
    ['redis+cluster://one:7000/1', 'a cluster has no databases to choose from'],
  ])('is refused when it is %p, with the reason and the accepted forms', (url, reason) => {
    const message = refusalOf(url);
    expect(message).toContain(reason);
    expect(message).toContain('redis+sentinel://[user:password@]host:26379,host:26379/NAME');
  });

  it('shows no password in its refusal', () => {
    expect(refusalOf('redis://worker:secret@host:99999')).not.toContain('secret');
    expect(refusalOf('redis://worker:sec@ret@host')).not.toMatch(/sec|ret@/);
    expect(refusalOf('redis://host?password=secret')).not.toContain('secret');
  });
});

describe('a masked Redis URL', () => {
  it.each([
    ['redis://worker:secret@host:6379/1', 'redis://worker:***@host:6379/1'],
    ['redis://:secret@host', 'redis://:***@host'],
    ['redis+sentinel://u:secret@one:1,two:2/main', 'redis+sentinel://u:***@one:1,two:2/main'],
    ['redis://u:a:b@c/d@host', 'redis://u:***@host'],
    ['user:secret@host', 'user:***@host'],
    ['redis://host:6379', 'redis://host:6379'],
  ])('turns %p into %p', (url, masked) => {
    expect(maskRedisUrl(url)).toBe(masked);
  });
});
