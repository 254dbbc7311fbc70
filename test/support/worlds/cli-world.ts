import { O3Client } from '../../../src/client/o3-client.ts';
import { type CliProcesses, createCliProcesses } from '../process/cli-process.ts';
import { type Instance, startInstance } from './instance.ts';

/** CliWorld is an instance for all tests of a file, and the `o3q` processes of one test. */
export interface CliWorld {
  readonly instance: Instance;
  readonly client: O3Client;
  /** The processes that the test has started; they are ended after it. */
  readonly processes: CliProcesses;
}

/** useCliWorld starts the world before the tests of a file, and ends it after them. */
export function useCliWorld(): CliWorld {
  let started: { instance: Instance; client: O3Client } | undefined;
  let processes: CliProcesses | undefined;
  beforeAll(async () => {
    const instance = await startInstance();
    started = { instance, client: new O3Client({ url: instance.url }) };
  });
  afterAll(() => started?.instance.stop());
  beforeEach(() => {
    processes = createCliProcesses();
  });
  afterEach(() => processes?.end());
  return {
    get instance() {
      return existing(started).instance;
    },
    get client() {
      return existing(started).client;
    },
    get processes() {
      return existing(processes);
    },
  };
}

function existing<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new Error('the world was expected to be used inside a test');
  return part;
}
