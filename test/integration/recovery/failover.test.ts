import { type FailoverSize, runFailover } from '../../../chaos/failover/failover.ts';
import { VARIANTS } from '../../../chaos/failover/variants.ts';
import { assertClean, PROCESS_LIMIT_MS, stageSaying } from '../../support/chaos-stage.ts';

/**
 * Short forms of `npm run chaos -- failover`. A single server has tests of its own, and what a replica that
 * is cut off loses is a figure of docs/GUARANTEES.md.
 */
const SHORT: Omit<FailoverSize, 'variants'> = {
  perSecond: 10,
  beforeMs: 2000,
  afterMs: 3000,
  awayMs: 3000,
  lagMs: 1000,
  longestMs: 4000,
};
const SHORT_VARIANTS = ['thawed', 'restarted', 'sentinel', 'name', 'cluster', 'slots'];

test.each(VARIANTS.filter(({ name }) => SHORT_VARIANTS.includes(name)))(
  '$what: no more is lost than replication takes, nothing is bought twice, and work goes on within 5 s',
  async (variant) => {
    const said: string[] = [];
    assertClean(await runFailover(stageSaying(said), { ...SHORT, variants: [variant] }), said);
    expect(said.join()).toContain('Redis can be used again');
  },
  PROCESS_LIMIT_MS,
);
