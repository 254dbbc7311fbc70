import { spawnSync } from 'node:child_process';
import { type AptPackage, findOrInstall, sayMissing } from '../process/apt-package.ts';

/** Debian's package has Prometheus itself, too. It is 19 MB, and only this program of it is run. */
const PROMTOOL: AptPackage = {
  title: 'promtool',
  name: 'prometheus',
  programs: ['promtool'],
  isUnpacked: true,
};

/** What promtool says of what it was given: `output` has its standard output and its errors. */
export interface PromtoolVerdict {
  /** 0: nothing is wrong. */
  readonly code: number | null;
  readonly output: string;
}

/** Promtool runs promtool: `check metrics` reads `input`; `check rules` and `test rules` read files. */
export type Promtool = (command: readonly string[], input?: string) => PromtoolVerdict;

/**
 * describeWithPromtool is `describe` for tests that need promtool. Without it they are replaced by one that
 * says why. In CI that test fails, because the output of a passing build is not read.
 */
export function describeWithPromtool(name: string, tests: (promtool: Promtool) => void): void {
  const finding = findOrInstall(PROMTOOL);
  describe(name, () => {
    if (finding.kind === 'missing') {
      it('needs promtool', () => sayMissing(PROMTOOL, name, finding.reason));
      return;
    }
    tests((command, input = '') => {
      const { status, stdout, stderr } = spawnSync(finding.path, command, { input, encoding: 'utf8' });
      return { code: status, output: `${stdout}${stderr}` };
    });
  });
}
