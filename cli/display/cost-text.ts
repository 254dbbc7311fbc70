import type { JobView } from '../../src/job/view.ts';
import { formatUsd } from '../../src/usage/usd.ts';

/** costText writes what was paid, `~` before an estimate, or `simulated`; '' when it is unknown. */
export function costText({
  simulated,
  cost_usd: cost,
  cost_estimated: isEstimated = false,
}: Pick<JobView, 'simulated' | 'cost_usd'> & { cost_estimated?: boolean }): string {
  if (simulated && !cost) return 'simulated';
  return cost === null ? '' : `${isEstimated ? '~' : ''}${formatUsd(cost)}`;
}
