import { showLocalTimes, useLocalFields } from './local-times.ts';

/** How long `g` waits for the key of a page, in milliseconds. */
const CHORD_MS = 1500;

const help = document.querySelector<HTMLDialogElement>('#keys');
/** When `g` was pressed, on the clock of the page. */
let chordAt = Number.NEGATIVE_INFINITY;

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && target.closest('input, textarea, select, [contenteditable]') !== null
  );
}

/** press does what a key means, and returns whether it means anything. */
function press(key: string): boolean {
  const isChord = performance.now() - chordAt < CHORD_MS;
  chordAt = key === 'g' ? performance.now() : Number.NEGATIVE_INFINITY;
  if (isChord && key !== 'g') {
    const link = document.querySelector<HTMLElement>(`.bar a[data-key="${CSS.escape(key)}"]`);
    link?.click();
    return link !== null;
  }
  switch (key) {
    case '?':
      help?.showModal();
      return true;
    case '/':
      return focused(document.querySelector<HTMLElement>('main input[type="search"]'));
    case 'j':
      return focused(rowLinks()[rowIndex() + 1]);
    case 'k':
      return focused(rowLinks()[Math.max(0, rowIndex() - 1)]);
    case 'x': {
      const box = rowOf(document.activeElement)?.querySelector<HTMLElement>('input[type="checkbox"]');
      box?.click();
      return box !== null && box !== undefined;
    }
    default:
      return false;
  }
}

function focused(element: HTMLElement | null | undefined): boolean {
  element?.focus();
  return element !== null && element !== undefined;
}

/** rowLinks returns the first link of each row of the page's tables. */
function rowLinks(): HTMLElement[] {
  return [...document.querySelectorAll('main tbody tr')].flatMap(
    (row) => row.querySelector<HTMLElement>('a[href]') ?? [],
  );
}

function rowOf(element: Element | null): Element | null {
  return element?.closest('main tbody tr') ?? null;
}

/** rowIndex returns which row has the focus; -1: none. */
function rowIndex(): number {
  const row = rowOf(document.activeElement);
  return rowLinks().findIndex((link) => row !== null && rowOf(link) === row);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help?.open === true) return;
  const isBox = event.target instanceof HTMLInputElement && event.target.type === 'checkbox';
  if (isTyping(event.target) && !isBox) return;
  if (press(event.key)) event.preventDefault();
});

const button = document.querySelector<HTMLElement>('#show-keys');
if (button !== null) {
  button.hidden = false;
  button.addEventListener('click', () => help?.showModal());
}
showLocalTimes();
useLocalFields();
