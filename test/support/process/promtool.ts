import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { type AptPackage, findOrInstall, sayMissing } from './apt-package.ts';

/** PROMTOOL checks what Prometheus reads. Its package would start a server, so it is unpacked instead. */
const PROMTOOL: AptPackage = {
  title: 'promtool',
  name: 'prometheus',
  programs: ['promtool'],
  unpackInto: '.cache/prometheus',
};

/** Promtool runs the program with these arguments, and with `input` on standard input. */
export type Promtool = (args: readonly string[], input?: string) => SpawnSyncReturns<string>;

/**
 * describeWithPromtool is `describe` for tests that need promtool. Without it its tests are replaced by one
 * that says why. In CI that test fails, because the output of a passing build is not read.
 */
export function describeWithPromtool(name: string, tests: (promtool: Promtool) => void): void {
  const finding = findOrInstall(PROMTOOL);
  describe(name, () => {
    if (finding.kind === 'missing') {
      it('needs promtool', () => sayMissing(PROMTOOL, name, finding.reason));
      return;
    }
    tests((args, input) =>
      spawnSync(finding.path, args, { encoding: 'utf8', ...(input !== undefined && { input }) }),
    );
  });
}
