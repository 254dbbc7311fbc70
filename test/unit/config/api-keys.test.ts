import { assertKeysOrLoopback, KeysRequiredError } from '../../../producer/access/access.ts';
import { parseApiKeys } from '../../../src/config/api-keys.ts';
import { readConfig, secretsOf } from '../../../src/config/environment.ts';

const SECRET = 'correct-horse-battery';

describe('O3Q_KEYS', () => {
  it('is a list of names and secrets, and the secret is the text after the first colon', () => {
    expect(
      parseApiKeys('admin:0123456789abcdef,alice.b_1-x:with:colons/and+more=, bob:~!@#$%^&*()_+{}|<>'),
    ).toEqual({
      keys: [
        { name: 'admin', secret: '0123456789abcdef' },
        { name: 'alice.b_1-x', secret: 'with:colons/and+more=' },
        { name: 'bob', secret: '~!@#$%^&*()_+{}|<>' },
      ],
    });
  });

  it.each([
    ['no colon', SECRET, 'expected name:secret'],
    ['no name', `:${SECRET}`, 'expected name:secret'],
    ['a name with a blank', `al ice:${SECRET}`, 'each name 1 to 64 letters'],
    ['a name of 65 letters', `${'a'.repeat(65)}:${SECRET}`, 'each name 1 to 64 letters'],
    ['a name that is a path', `../alice:${SECRET}`, 'each name 1 to 64 letters'],
    ['no secret', 'alice:', 'secrets of 16 to 256 printable characters'],
    ['a secret of 15 characters', 'alice:0123456789abcde', 'secrets of 16 to 256 printable characters'],
    ['a secret of 257 characters', `alice:${'x'.repeat(257)}`, 'secrets of 16 to 256'],
    ['a secret with a blank', `alice:${SECRET} ${SECRET}`, 'without spaces or commas'],
    ['a secret with a line break', `alice:${SECRET}\n${SECRET}`, 'without spaces or commas'],
    ['a secret that no header can carry', `alice:${SECRET}ü`, 'printable characters'],
    ['a secret with a comma', `alice:${SECRET},battery-horse-staple`, 'got something else in key 2'],
    ['a comma at the end', `alice:${SECRET},`, 'got something else in key 2'],
    [
      'three secrets of one name',
      `alice:${SECRET},alice:${SECRET}2,alice:${SECRET}3`,
      'at most 2 secrets of a name, got another in key 3',
    ],
    [
      'one secret twice',
      `alice:${SECRET},bob:${SECRET}`,
      'every secret once, got one of them again in key 2',
    ],
  ])('with %s is refused with the number of the key, and is never quoted', (_what, value, said) => {
    const message = messageOf({ O3Q_KEYS: value });
    expect(message).toContain(`O3Q_KEYS: expected`);
    expect(message).toContain(said);
    for (const word of value.split(/[\s,:]+/).filter((part) => part.length > 5)) {
      expect(message).not.toContain(word);
    }
  });

  it('may have two secrets of a name, while one is being changed', () => {
    const { keys } = readConfig({ O3Q_KEYS: `alice:${SECRET},alice:${SECRET}-new` });
    expect(keys).toEqual([
      { name: 'alice', secret: SECRET },
      { name: 'alice', secret: `${SECRET}-new` },
    ]);
  });

  it('is checked as a whole, and each wrong key is named', () => {
    const message = messageOf({ O3Q_KEYS: 'alice,bob:short,carol:0123456789abcdef' });
    expect(message).toMatch(/2 problems/);
    expect(message).toMatch(/something else in key 1[\s\S]*something else in key 2/);
  });

  it('makes each secret known to the log', () => {
    const config = readConfig({ O3Q_KEYS: `admin:${SECRET},alice:battery-horse-staple` });
    expect(config.keys.map(({ name }) => name)).toEqual(['admin', 'alice']);
    expect(secretsOf(config)).toEqual([SECRET, 'battery-horse-staple']);
  });
});

describe('a producer without keys', () => {
  it.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1'])('may listen on %s', (host) => {
    expect(() => assertKeysOrLoopback({ host, keys: [] })).not.toThrow();
  });

  it.each(['0.0.0.0', '::', '10.0.0.5', '127.example.com', '::ffff:0.0.0.0', 'producer'])(
    'may not listen on %s, and says what to set',
    (host) => {
      const guard = (): void => assertKeysOrLoopback({ host, keys: [] });
      expect(guard).toThrow(KeysRequiredError);
      expect(guard).toThrow(new RegExp(`HOST=${host} .*set O3Q_KEYS, .*or set HOST=127.0.0.1`));
      expect(() => assertKeysOrLoopback({ host, keys: [{ name: 'admin', secret: SECRET }] })).not.toThrow();
    },
  );
});

function messageOf(environment: NodeJS.ProcessEnv): string {
  try {
    readConfig(environment);
  } catch (error: unknown) {
    if (error instanceof Error) return error.message;
  }
  throw new Error('expected the configuration to be refused');
}
