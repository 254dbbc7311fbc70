import { dirname, join } from 'node:path';
import { readConfigFile } from '../../../src/config/file.ts';
import { DEFAULTS, flawsIn, useConfigFiles } from '../../support/config-files.ts';

const file = useConfigFiles();

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

  it('gives windows to the models that are known to have them, and to others only those that it names', () => {
    const own = { '8h': 0.2 };
    const models = {
      ...{ sol: { upstream: 'gpt-6.2-sol' }, o3: {}, named: { completionWindows: own } },
      'gpt-6.2-astra': { completionWindows: {} },
    };
    const config = readConfigFile(file({ models }));
    expect(config).toMatchObject({
      models: { sol: { completionWindows: { '2h': 0.3, '8h': 0.4 } }, named: { completionWindows: own } },
    });
    const windowsOf = (name: string) => 'models' in config && config.models[name]?.completionWindows;
    expect([windowsOf('o3'), windowsOf('gpt-6.2-astra')]).toEqual([{}, {}]);
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
    [{ http: { basePath: 'o3q' } }, 'http.basePath', /a path such as \/o3q, .*, got "o3q"/],
    [{ http: { basePath: '/o3q/' } }, 'http.basePath', /no slash at its end, got "\/o3q\/"/],
    [{ http: { basePath: '/a/../b' } }, 'http.basePath', /got "\/a\/\.\.\/b"/],
    [{ http: { basePath: '/jobs/o3q' } }, 'http.basePath', /does not begin like a route/],
    [{ http: { publicUrl: 'https://a.example/' } }, 'http.publicUrl', /expected a URL .* without a slash/],
    [{ http: { publicUrl: 'a.example' } }, 'http.publicUrl', /expected a URL such as/],
    [{ http: { corsOrigins: ['*'] } }, 'http.corsOrigins.0', /expected an exact origin .*, got "\*"/],
    [{ http: { corsOrigins: ['https://a.example/'] } }, 'http.corsOrigins.0', /with no path/],
    [{ http: { corsOrigins: ['https://a.example', 'https://A.example'] } }, 'http.corsOrigins.1', /exact/],
    [{ http: { corsOrigins: ['null'] } }, 'http.corsOrigins.0', /exact origin/],
    [{ http: { trustProxy: ['nginx'] } }, 'http.trustProxy.0', /a network such as .*, got "nginx"/],
    [{ http: { trustProxy: ['10.0.0.0/33'] } }, 'http.trustProxy.0', /expected an IP address/],
    [{ http: { trustProxy: ['0.0.0.0/0'] } }, 'http.trustProxy.0', /expected an IP address/],
    [{ http: { trustProxy: true } }, 'http.trustProxy', /array/],
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
    const folder = dirname(file({}));
    expect(flawsIn({ O3Q_CONFIG: join(folder, 'missing.json') })).toEqual([
      expect.stringContaining('ENOENT'),
    ]);
    expect(flawsIn({ O3Q_CONFIG: folder })).toEqual([expect.stringContaining('EISDIR')]);
  });
});
