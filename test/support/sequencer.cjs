// Starts the suites that take longest first, so that none of them runs alone at the end. A fresh machine knows no durations: there Jest goes by the size
// of the files, and a short file may take longest, because it starts processes and waits for them. Jest brings the package that is extended here.
const { basename, dirname } = require('node:path');
const Sequencer = require('@jest/test-sequencer').default;

/** The longest suites, from 40 s on, on two cores; then the folders whose suites start processes. */
const FIRST = [
  'failover.test.ts',
  'crash-points.test.ts',
  'takeover.test.ts',
  'chaos.test.ts',
  'living-workers.test.ts',
  'batch.test.ts',
  'processes.test.ts',
  'sentinel-failover.test.ts',
  'bench.test.ts',
  'readme.test.ts',
];
const FOLDERS = ['recovery', 'cli', 'e2e', 'redis', 'worker'];

function rankOf(path) {
  const suite = FIRST.indexOf(basename(path));
  if (suite >= 0) return suite;
  const folder = FOLDERS.indexOf(basename(dirname(path)));
  return FIRST.length + (folder < 0 ? FOLDERS.length : folder);
}

module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    return [...super.sort(tests)].sort((one, other) => rankOf(one.path) - rankOf(other.path));
  }
};
