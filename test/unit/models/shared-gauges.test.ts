import { Registry } from 'prom-client';
import { registerSharedGauges } from '../../../src/models/shared-gauges.ts';

it('tells nothing of what all processes share while Redis cannot be read, and 0 least of all', async () => {
  const registry = new Registry();
  const unknown = async () => undefined;
  registerSharedGauges(registry, { models: unknown, memory: unknown, budgets: unknown });
  const lines = (await registry.metrics()).split('\n');
  expect(lines.filter((line) => line.startsWith('# TYPE')).length).toBeGreaterThan(10);
  expect(lines.filter((line) => line !== '' && !line.startsWith('#'))).toEqual([]);
});
