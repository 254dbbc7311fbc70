import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configuredUpstream } from '../../../../cli/processes/process-parts.ts';
import { createLiveConfig, type LiveConfig } from '../../../../src/config/live/live-config.ts';
import { type ConfigWatch, watchConfig } from '../../../../src/config/live/watch.ts';
import { createLogger } from '../../../../src/process/log.ts';

const OLD = 'the-old-secret-of-alice';
const NEW = 'the-new-secret-of-alice';

let folder: string;
let path: string;
let live: LiveConfig;
let watch: ConfigWatch;
let lines: Record<string, unknown>[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'o3q-live-'));
  path = join(folder, 'o3q.config.json');
});
afterEach(() => {
  watch.stop();
  rmSync(folder, { recursive: true });
});

function write(content: unknown, to = path): void {
  writeFileSync(to, typeof content === 'string' ? content : JSON.stringify(content));
}

/** Starts to watch, as a process does at its start. */
async function start(content: unknown, more: NodeJS.ProcessEnv = {}): Promise<void> {
  if (content !== undefined) write(content);
  live = createLiveConfig({ O3Q_CONFIG: path, ...more });
  lines = [];
  const logger = createLogger({
    level: 'info',
    pretty: false,
    get secrets() {
      return live.secrets;
    },
    destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
  });
  watch = watchConfig(live, logger);
  await looks(2);
}

async function looks(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await watch.look();
}

const withTenants = (tenants: object) => ({ models: { o3: {} }, tenants });

describe('a changed file', () => {
  it('counts once two looks have found the same, and one line says what has changed', async () => {
    await start(withTenants({ alice: { maxInFlight: 10 } }));
    const { config } = live;
    const { models } = config;
    write(withTenants({ alice: { maxInFlight: 20, weight: 2 }, bob: {} }));
    await looks(1);
    expect(config.tenants['alice']?.maxInFlight).toBe(10);
    await looks(3);
    expect(config.tenants['alice']).toMatchObject({ maxInFlight: 20, weight: 2 });
    // What has not changed is the same object: what was made of it need not be made again.
    expect(config.models).toBe(models);
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.anything(),
        msg: 'the configuration has changed',
        changed: [
          'tenants.alice.weight: 1 → 2',
          'tenants.alice.maxInFlight: 10 → 20',
          'tenants.bob: unset → {"weight":1,"onBudgetExhausted":"wait"}',
        ],
      },
    ]);
  });

  it('with flaws is refused as a whole, with all of them, once, until it is mended', async () => {
    await start(withTenants({ alice: { maxInFlight: 10 } }));
    write({ models: { o3: { maxAttempts: 0 } }, tenants: { alice: { maxInFlight: 20, wieght: 2 } } });
    await looks(5);
    expect(live.isRefused).toBe(true);
    expect(live.troubles()).toEqual([expect.stringContaining('is refused')]);
    expect(live.config.tenants['alice']?.maxInFlight).toBe(10);
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'error',
        flaws: [expect.stringContaining('models.o3.maxAttempts'), expect.stringContaining('"wieght"')],
      }),
    ]);
    write(withTenants({ alice: { maxInFlight: 10 } }));
    await looks(2);
    expect(live.isRefused).toBe(false);
    expect(live.troubles()).toEqual([]);
    expect(lines.slice(1)).toEqual([
      expect.objectContaining({ msg: 'the configuration was read again and has not changed' }),
    ]);
  });

  it('that was found half-written is not reported', async () => {
    await start(withTenants({}));
    const whole = JSON.stringify(withTenants({ alice: {} }));
    write(whole.slice(0, 20));
    await looks(1);
    write(whole);
    await looks(2);
    expect(lines).toEqual([expect.objectContaining({ level: 'info' })]);
    expect(live.config.tenants).toHaveProperty('alice');
  });

  it('with the same settings in other words says nothing', async () => {
    await start(withTenants({}));
    write(JSON.stringify({ ...withTenants({}), compressAboveKb: 8 }, null, 4));
    await looks(3);
    expect(lines).toEqual([]);
  });

  it('that is gone is refused, and the last settings stay', async () => {
    await start(withTenants({ alice: {} }));
    rmSync(path);
    await looks(3);
    expect(lines).toEqual([expect.objectContaining({ flaws: [`${path}: is gone`] })]);
    expect(live.config.tenants).toHaveProperty('alice');
  });

  it('may be behind a symbolic link that Kubernetes replaces', async () => {
    const versions = ['one', 'two'].map((name) => join(folder, name));
    for (const [i, version] of versions.entries()) {
      mkdirSync(version);
      write(withTenants({ alice: { maxInFlight: i + 1 } }), join(version, 'o3q.config.json'));
    }
    const [one = '', two = ''] = versions;
    symlinkSync(one, join(folder, '..data'));
    symlinkSync(join('..data', 'o3q.config.json'), path);
    await start(undefined);
    expect(live.config.tenants['alice']?.maxInFlight).toBe(1);
    symlinkSync(two, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    await looks(2);
    expect(live.config.tenants['alice']?.maxInFlight).toBe(2);
  });
});

describe('what needs a restart', () => {
  it('stays as it was, and is named', async () => {
    await start({ models: { o3: { maxInFlight: 1 }, old: {} }, http: { basePath: '/a' } });
    write({ defaultModel: 'new', models: { o3: { maxInFlight: 2 }, new: {} }, http: { basePath: '/b' } });
    await looks(2);
    expect(live.config).toMatchObject({
      defaultModel: 'o3',
      models: { o3: { maxInFlight: 2 }, old: {} },
      http: { basePath: '/a' },
    });
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        changed: ['models.o3.maxInFlight: 1 → 2'],
        needsRestart: [
          'defaultModel: "o3" → "new"',
          expect.stringMatching(/^models\.old: \{.* → unset$/),
          expect.stringMatching(/^models\.new: unset → \{/),
          'http.basePath: "/a" → "/b"',
        ],
      }),
    ]);
  });
});

describe('keys in a file', () => {
  it('are read again, and the log names their owners and masks their secrets', async () => {
    const keys = join(folder, 'keys');
    write(`admin:the-secret-of-admin,alice:${OLD}`, keys);
    await start(withTenants({}), { O3Q_KEYS_FILE: keys });
    write(`admin:the-secret-of-admin,alice:${OLD},alice:${NEW},bob:the-secret-of-bob`, keys);
    await looks(2);
    expect(live.config.keys.map(({ name }) => name)).toEqual(['admin', 'alice', 'alice', 'bob']);
    write(`admin:the-secret-of-admin,alice:${NEW}`, keys);
    watch.reload();
    expect(lines).toEqual([
      expect.objectContaining({ changed: ['O3Q_KEYS: alice changed', 'O3Q_KEYS: bob added'] }),
      expect.objectContaining({ changed: ['O3Q_KEYS: alice changed', 'O3Q_KEYS: bob removed'] }),
    ]);
    // Also the old ones: a line that is written late may have them.
    expect(live.secrets).toEqual(expect.arrayContaining([OLD, NEW, 'the-secret-of-bob']));
  });

  it('stay as they are when the file is empty, or has one flaw', async () => {
    const keys = join(folder, 'keys');
    write(`alice:${OLD}`, keys);
    await start(withTenants({}), { O3Q_KEYS_FILE: keys });
    for (const content of ['', `alice:${NEW},bob:short`]) {
      write(content, keys);
      await looks(2);
      expect(live.config.keys).toEqual([{ name: 'alice', secret: OLD }]);
    }
    expect(JSON.stringify(lines)).not.toContain(NEW);
  });
});

it('a new key of the upstream counts at once; a process that has none gets none', async () => {
  const key = join(folder, 'upstream-key');
  write('sk-the-old-key', key);
  await start(withTenants({}), { OPENAI_API_KEY_FILE: key });
  const upstream = configuredUpstream(live.config);
  write('sk-the-new-key', key);
  watch.reload();
  expect(upstream.apiKey).toBe('sk-the-new-key');
  expect(lines).toEqual([expect.objectContaining({ changed: ['OPENAI_API_KEY: changed'] })]);
  watch.stop();
  const variables: NodeJS.ProcessEnv = { O3Q_CONFIG: path };
  live = createLiveConfig(variables);
  variables['OPENAI_API_KEY_FILE'] = key;
  expect(live.reload()).toMatchObject({ changed: [], needsRestart: ['OPENAI_API_KEY: added'] });
});

it('a signal reads the files at once, and the log says so even if nothing has changed', async () => {
  await start(withTenants({}));
  write(withTenants({ alice: {} }));
  watch.reload();
  watch.reload();
  await looks(3);
  expect(lines.map(({ msg }) => msg)).toEqual([
    'the configuration has changed',
    'the configuration was read again and has not changed',
  ]);
});

it('a change that is taken over is told to those that listen, and nothing else is', async () => {
  await start(withTenants({}));
  let told = 0;
  watch.onChange(() => {
    told += 1;
  });
  const { keys, tenants } = live.config;
  write(withTenants({ alice: {} }));
  await looks(3);
  expect(told).toBe(1);
  expect(live.config.keys).toBe(keys);
  expect(live.config.tenants).not.toBe(tenants);
  write('{');
  await looks(3);
  watch.reload();
  expect(told).toBe(1);
});

it('a file that appears at the default path counts from then on', async () => {
  const before = process.cwd();
  process.chdir(folder);
  try {
    live = createLiveConfig({});
    expect(live.reload()).toEqual({ kind: 'accepted', changed: [], needsRestart: [] });
    write({ retention: { completedHours: 1 } });
    expect(live.reload()).toMatchObject({ changed: ['retention.completedHours: 168 → 1'] });
    rmSync(path);
    expect(live.reload()).toMatchObject({ kind: 'refused' });
  } finally {
    process.chdir(before);
  }
});
