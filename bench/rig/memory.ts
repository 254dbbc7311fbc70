import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MessageEvent, WebSocket } from 'undici';
import type { Child } from '../../chaos/fleet/child.ts';

/** Memory is what a process holds after its garbage was collected, in KB. */
export interface Memory {
  heapKb: number;
  /** Resident memory; NaN on a system without `/proc`. */
  residentKb: number;
}

const COLLECTIONS = 3;
const DEBUGGER_URL = /Debugger listening on (ws:\S+)/;

/**
 * memoryOf collects the garbage of a process and measures it, through the inspector of Node. The process must
 * belong to a rig that is `inspectable`.
 * @param folder the folder of the process's log, which has the address of its inspector.
 */
export async function memoryOf(child: Child, folder: string): Promise<Memory> {
  const log = await readFile(join(folder, `${child.name}.log`), 'utf8');
  const [, url] = DEBUGGER_URL.exec(log) ?? [];
  if (url === undefined) throw new Error(`expected the address of an inspector in the log of ${child.name}`);
  const socket = new WebSocket(url);
  await once(socket, 'open');
  try {
    // V8 frees some objects only in a later collection: weak references, and what finalizers held.
    for (let i = 0; i < COLLECTIONS; i += 1) await ask(socket, 'HeapProfiler.collectGarbage');
    const { usedSize } = (await ask(socket, 'Runtime.getHeapUsage')) as { usedSize: number };
    return { heapKb: usedSize / 1024, residentKb: await residentKb(child.pid) };
  } finally {
    socket.close();
  }
}

/** Calls a method of the inspector without parameters. The next message is its answer. */
async function ask(socket: WebSocket, method: string): Promise<unknown> {
  socket.send(JSON.stringify({ id: 1, method }));
  const [{ data }] = (await once(socket, 'message')) as [MessageEvent];
  const { result, error } = JSON.parse(String(data)) as { result?: unknown; error?: unknown };
  if (error !== undefined) throw new Error(`${method} was refused: ${JSON.stringify(error)}`);
  return result;
}

async function residentKb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]);
}
