import { setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Callers, createCallers } from './evidence/callers.ts';
import { type Evidence, gatherEvidence } from './evidence/evidence.ts';
import { createHistory, type History } from './evidence/history.ts';
import { isClean, type Report, type Requirement, type Violation } from './evidence/report.ts';
import { type Fleet, type FleetOptions, startFleet } from './fleet/fleet.ts';
import { createRandom, type Random } from './fleet/random.ts';
import type { Stage } from './fleet/stage.ts';

/** World is what a scenario works with: a fleet of its own, and the history that its callers write. */
export interface World extends Stage {
  readonly fleet: Fleet;
  /** Random numbers that depend only on the seed. */
  readonly random: Random;
  readonly history: History;
  /** Callers who write what they see into the history. */
  readonly callers: Callers;
  /** Gathers what is known of every job in the history, once nothing runs any more. */
  evidence(): Promise<Evidence>;
}

/** Findings are what a scenario measured. */
export interface Findings {
  requirements: Requirement[];
  /** Default: none. */
  violations?: Violation[];
}

/**
 * scenario runs on a fleet of its own. It stops every process of the fleet in any case, and deletes the logs
 * only if the report is clean.
 */
export function scenario(
  options: FleetOptions,
  play: (world: World) => Promise<Findings>,
): (stage: Stage) => Promise<Report> {
  return async (stage) => {
    const folder = await mkdtemp(join(tmpdir(), 'o3q-chaos-'));
    const closers: (() => Promise<void>)[] = [];
    let clean = false;
    // Everything that waits listens to this signal.
    setMaxListeners(0, stage.signal);
    try {
      const fleet = await startFleet(stage, options, folder, closers);
      const history = createHistory();
      const { requirements, violations = [] } = await play({
        ...stage,
        fleet,
        history,
        random: createRandom(stage.seed),
        callers: createCallers(fleet, history, stage.signal),
        evidence: () => gatherEvidence(fleet, history, stage.signal),
      });
      const report = { requirements, violations, logs: folder };
      clean = isClean(report);
      return report;
    } finally {
      await Promise.allSettled(closers.splice(0).map((close) => close()));
      stage.say(`All processes stopped. ${clean ? '' : `Logs: ${folder}`}`.trim());
      if (clean) await rm(folder, { recursive: true, force: true });
    }
  };
}
