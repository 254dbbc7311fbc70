import { localText } from '../parts.tsx';

/** showLocalTimes changes the times that the server has written in UTC to the time zone of the browser. */
export function showLocalTimes(): void {
  for (const element of document.querySelectorAll('time')) element.textContent = localText(element.dateTime);
}
