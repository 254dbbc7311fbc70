import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandOutcome, runCommand } from './command.ts';

/** AptTools are the paths of three programs that every Debian and Ubuntu has. */
export type AptTools = { readonly aptGet: string; readonly aptCache: string; readonly dpkgDeb: string };

/**
 * Apt runs apt on the system's package index or a private one. It uses only commands of apt that need no
 * root.
 */
export type Apt = {
  /** The version that apt would install; undefined if the index has no such package. */
  candidateVersion(packageName: string): Promise<string | undefined>;
  /** The given packages and the packages that apt would install for them, without libc6. */
  closure(packageNames: readonly string[]): Promise<readonly string[]>;
  /** Checks each package against the distribution's signed index and writes it to the folder. */
  download(packageNames: readonly string[], folder: string): Promise<void>;
};

const QUICK_MS = 30_000;
const NETWORK_MS = 5 * 60_000;

/** AptError is a failed step of apt, with apt's reason. */
export class AptError extends Error {
  override readonly name = 'AptError';
}

export function createApt(tools: AptTools, options: readonly string[]): Apt {
  const simulated = (packageNames: readonly string[]) =>
    runCommand(tools.aptGet, [...options, '-s', '--no-install-recommends', 'install', ...packageNames], {
      timeoutMs: QUICK_MS,
    });
  return {
    async candidateVersion(packageName) {
      const outcome = await runCommand(
        tools.aptCache,
        [...options, 'show', '--no-all-versions', packageName],
        { timeoutMs: QUICK_MS },
      );
      return outcome.ok ? /^Version: (\S+)$/m.exec(outcome.output)?.[1] : undefined;
    },
    async closure(packageNames) {
      const output = outputOf('apt-get -s install', await simulated(packageNames));
      const needed = [...output.matchAll(/^Inst (\S+) /gm)].flatMap(([, name]) => name ?? []);
      // An installed package has no Inst line. A second libc beside the machine's own loader would crash.
      return [...new Set([...needed, ...packageNames])].filter((name) => !/^libc6\b/.test(name));
    },
    async download(packageNames, folder) {
      const outcome = await runCommand(tools.aptGet, [...options, 'download', ...packageNames], {
        workingDir: folder,
        timeoutMs: NETWORK_MS,
      });
      outputOf('apt-get download', outcome);
    },
  };
}

export function systemIndexOptions(isRoot: boolean): readonly string[] {
  return [
    // Without a network, the error comes after seconds instead of minutes.
    ...['-o', 'Acquire::Retries=0', '-o', 'Acquire::http::Timeout=20', '-o', 'Acquire::https::Timeout=20'],
    // As root, apt switches to its user _apt, which cannot write into our private folder.
    ...(isRoot ? ['-o', 'APT::Sandbox::User=root'] : []),
  ];
}

/**
 * PrivateIndex has the apt options that make apt use a copy of the distribution's package index in our own
 * folder.
 */
export type PrivateIndex = {
  readonly options: readonly string[];
  /** Why the index may lack something, in apt's words. */
  readonly complaint?: string;
};

/**
 * fetchPrivateIndex downloads the signed package index into the folder, for machines whose own index is
 * missing or out of date. It needs no root.
 * @throws AptError when `apt-get update` fails.
 */
export async function fetchPrivateIndex(
  tools: AptTools,
  folder: string,
  isRoot: boolean,
): Promise<PrivateIndex> {
  const lists = join(folder, 'lists');
  const cache = join(folder, 'cache');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  // The machine's own hooks after an update are switched off: they concern the machine's index and may need
  // root.
  const settings = join(folder, 'apt.conf');
  await writeFile(settings, '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n');
  const options = [
    ...systemIndexOptions(isRoot),
    ...['-c', settings],
    ...['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`, '-o', 'Debug::NoLocking=1'],
  ];
  const outcome = await runCommand(tools.aptGet, [...options, 'update'], { timeoutMs: NETWORK_MS });
  outputOf('apt-get update', outcome);
  // apt reports success even if it reached no server.
  const complaint = outcome.ok ? /^[WE]: .*$/m.exec(outcome.warnings)?.[0] : undefined;
  return { options, ...(complaint !== undefined && { complaint }) };
}

function outputOf(command: string, outcome: CommandOutcome): string {
  if (!outcome.ok) throw new AptError(`${command} failed: ${outcome.reason}`);
  return outcome.output;
}
