import { signal } from '@preact/signals';
import { hydrate } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Action } from '../../../src/job/action.ts';
import { actionTitle, LiveAction } from '../jobs/live-action.tsx';
import { Links } from '../parts.tsx';
import { BASE_PATH } from './base-path.ts';
import { showLocalTimes } from './local-times.ts';

/** How often a visible page asks how far the action has come, in milliseconds. */
const EVERY_MS = 1000;

const state = signal(JSON.parse(document.getElementById('state')?.textContent ?? '') as Action);
const note = signal<string | undefined>(undefined);

function Live() {
  useEffect(showLocalTimes);
  return (
    <Links basePath={BASE_PATH}>
      <LiveAction action={state.value} note={note.value} />
    </Links>
  );
}

async function update(): Promise<void> {
  const response = await fetch(`${BASE_PATH}/actions/${encodeURIComponent(state.value.id)}`);
  if (response.status === 401) return location.reload();
  if (!response.ok) throw new Error(String(response.status));
  state.value = (await response.json()) as Action;
  note.value = undefined;
  document.title = `${actionTitle(state.value)} · o3-queue`;
}

async function follow(): Promise<void> {
  if (!document.hidden) {
    await update().catch(() => {
      note.value = 'This instance does not answer; trying again';
    });
  }
  if (state.value.finished_at === null) setTimeout(follow, EVERY_MS);
}

const place = document.getElementById('live');
if (place !== null) hydrate(<Live />, place);
if (state.value.finished_at === null) setTimeout(follow, EVERY_MS);
