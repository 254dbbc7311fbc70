import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { defaultModels, readConfigFile } from '../../../src/config/file.ts';

const ROOT = join(__dirname, '../../..');
const page = (name: string): string => readFileSync(join(ROOT, 'docs/operating', name), 'utf8');
const DEPLOYING = page('DEPLOYING.md');
const REDIS = page('REDIS.md');
const MONITORING = page('MONITORING.md');

const SOURCES = ['cli', 'producer', 'worker', 'src']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => readFileSync(join(ROOT, folder, path), 'utf8')),
  )
  .join('\n');

/** block returns the first code block of a language on a page. */
function block(text: string, language: string): string {
  const found = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(text)?.[1];
  if (found === undefined)
    throw new Error(`a page of docs/operating was expected to have a block of ${language}`);
  return found;
}

describe('docs/operating', () => {
  it('has an o3q.config.json that is accepted', () => {
    const folder = mkdtempSync(join(tmpdir(), 'o3q-operations-'));
    try {
      const path = join(folder, 'o3q.config.json');
      writeFileSync(path, block(REDIS, 'json'));
      expect(readConfigFile(path)).toMatchObject({
        defaultModel: 'o3',
        models: { o3: { upstream: 'o3' }, fast: { upstream: 'gpt-5.6-luna', timeoutMs: 600_000 } },
        retention: { completedHours: 24, failedHours: 168 },
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each(
    readdirSync(join(ROOT, 'docs/operating')).flatMap((name) =>
      [...page(name).matchAll(/```json\n(.*?)```/gs)]
        .map(([, json = '']) => json)
        .filter((json) => /"(models|tenants)"/.test(json) && !json.includes('"runnable"'))
        .map((json) => [name, json.slice(0, 60), json]),
    ),
  )('shows settings in %s that are accepted: %s', (_name, _beginning, json) => {
    const folder = mkdtempSync(join(tmpdir(), 'o3q-operations-'));
    try {
      const path = join(folder, 'o3q.config.json');
      writeFileSync(path, json);
      expect(readConfigFile(path)).not.toHaveProperty('flaws');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('states the retention that holds without a configuration file', () => {
    const { completedHours, failedHours } = defaultModels().retention;
    expect(REDIS).toContain(
      `completed ones after ${completedHours} hours, failed and cancelled ones after ${failedHours}`,
    );
  });

  it('mounts that file where the image looks for it, for services that exist', () => {
    const override: unknown = parse(block(DEPLOYING, 'yaml'));
    const services: unknown = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true });
    const [, folder = ''] = /^WORKDIR (.+)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
    const volumes = [`./o3q.config.json:${folder}/o3q.config.json:ro`];
    expect(override).toEqual({ services: { producer: { volumes }, worker: { volumes } } });
    expect(services).toMatchObject({ services: { producer: {}, worker: {} } });
  });

  it('names the variables that docker-compose.yml passes on', () => {
    const compose = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
    const handedOn = new Set([...compose.matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? ''));
    const [, sentence = ''] = /Compose passes on ([^.]+)\./.exec(DEPLOYING) ?? [];
    const named = [...sentence.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? '');
    expect(named.sort()).toEqual([...handedOn].sort());
  });

  it('quotes only log lines that are written', () => {
    const [, table = ''] = MONITORING.split('## The log');
    const quoted = [...table.matchAll(/^\| (?:error|warn|info) \| (`[^|]+`) \|/gm)].flatMap((match) =>
      (match[1] ?? '').split(' · ').map((message) => message.replaceAll('`', '')),
    );
    expect(quoted.length).toBeGreaterThan(8);
    expect(quoted.filter((message) => !SOURCES.includes(`'${message}'`))).toEqual([]);
  });
});
