import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { readConfigFile } from '../../../src/config/file.ts';
import { fileJsonSchema } from '../../../src/config/schema.ts';

const SHIPPED = 'o3q.config.schema.json';
const shipped: object = JSON.parse(readFileSync(SHIPPED, 'utf8'));

describe(`${SHIPPED}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'o3q-schema-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const isAccepted = (content: unknown): boolean => {
    const path = join(folder, 'o3q.config.json');
    writeFileSync(path, JSON.stringify(content));
    return !('flaws' in readConfigFile(path));
  };
  const isValid = new Ajv({ strict: true }).compile(shipped);

  it('is what `npm run schema` writes', () => {
    expect(shipped).toEqual(fileJsonSchema());
  });

  it('is part of the package', () => {
    const { files }: { files: string[] } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(files).toContain(SHIPPED);
  });

  it('may be named by the file that it describes', () => {
    const content = { $schema: `./node_modules/o3-queue/${SHIPPED}` };
    expect({ accepted: isAccepted(content), valid: isValid(content) }).toEqual({
      accepted: true,
      valid: true,
    });
  });

  it('describes every setting', () => {
    const undescribed: string[] = [];
    const visit = (value: unknown, place: string): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const [name, part] of Object.entries(value)) {
        if (name === 'properties') {
          for (const [setting, schema] of Object.entries<{ description?: string }>(part)) {
            if (!schema.description) undescribed.push(`${place}.${setting}`);
          }
        }
        visit(part, `${place}.${name}`);
      }
    };
    visit(shipped, '');
    expect(undescribed).toEqual([]);
  });

  it.each([
    [{}],
    [{ models: { o3: { fallbacks: ['gpt-5'], backoff: { baseMs: 0 } } }, defaultModel: 'o3' }],
    [{ tenants: { alice: { weight: 0.5, dailyBudgetUsd: 1 } }, prices: { x: { input: 1, output: 2 } } }],
    [{ retention: { completedHours: 1 }, http: { requestsPerMinute: 1 }, allowPrivateWebhooks: true }],
    [
      {
        http: { basePath: '/o3q', corsOrigins: ['http://[::1]:5173'], trustProxy: ['loopback', 'fd00::/8'] },
      },
    ],
    [{ http: { basePath: 'o3q' } }],
    [{ http: { basePath: '/v1' } }],
    [{ model: {} }],
    [{ models: {} }],
    [{ models: { 'a b': {} } }],
    [{ models: { o3: { maxAtempts: 3 } } }],
    [{ models: { o3: { maxAttempts: 0 } } }],
    [{ models: { o3: { timeoutMs: 2_147_483_648 } } }],
    [{ models: { o3: { onUncertain: 'perhaps' } } }],
    [{ prices: { x: { input: 1 } } }],
    [{ retention: { failedHours: 0 } }],
  ])('accepts and refuses what o3-queue does: %j', (content) => {
    expect(isValid(content)).toBe(isAccepted(content));
  });
});
