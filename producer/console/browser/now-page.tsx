import { signal } from '@preact/signals';
import { hydrate } from 'preact';
import { useEffect } from 'preact/hooks';
import { LiveNow, nowTitle } from '../now/live-now.tsx';
import type { NowState } from '../now/now-state.ts';
import { Links } from '../parts.tsx';
import { BASE_PATH } from './base-path.ts';
import { showLocalTimes } from './local-times.ts';

/** How often a visible page asks for the state, in milliseconds. A hidden page does not ask. */
const EVERY_MS = 2000;

const state = signal(JSON.parse(document.getElementById('state')?.textContent ?? '') as NowState);
const note = signal<string | undefined>(undefined);

function Live() {
  useEffect(showLocalTimes);
  return (
    <Links basePath={BASE_PATH}>
      <LiveNow state={state.value} note={note.value} />
    </Links>
  );
}

async function update(): Promise<void> {
  const response = await fetch(`${BASE_PATH}/console/now`, { headers: { accept: 'application/json' } });
  // The session has ended: the page, loaded again, leads to the login.
  if (response.status === 401) return location.reload();
  if (!response.ok) throw new Error(String(response.status));
  state.value = (await response.json()) as NowState;
  note.value = undefined;
  document.title = `${nowTitle(state.value)} · o3-queue`;
}

let timer: ReturnType<typeof setTimeout> | undefined;
/** follow asks for the state, and again after each answer, for as long as the page is visible. */
async function follow(): Promise<void> {
  clearTimeout(timer);
  if (document.hidden) return;
  await update().catch(() => {
    note.value = 'The state is old: this instance does not answer.';
  });
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(follow, EVERY_MS);
}

const place = document.getElementById('live');
if (place !== null) hydrate(<Live />, place);
document.addEventListener('visibilitychange', () => void follow());
timer = setTimeout(follow, EVERY_MS);
