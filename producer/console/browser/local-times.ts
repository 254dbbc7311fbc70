import { localText } from '../parts.tsx';

/** showLocalTimes changes the times that the server has written in UTC to the time zone of the browser. */
export function showLocalTimes(): void {
  for (const element of document.querySelectorAll('time')) element.textContent = localText(element.dateTime);
}

/**
 * useLocalFields makes the fields for a time, which the server has written in UTC, fields for a time in the
 * zone of the browser. What is sent to the server is UTC again.
 */
export function useLocalFields(): void {
  for (const field of document.querySelectorAll<HTMLInputElement>('input[type="datetime-local"]')) {
    // After a reload the browser may show what was filled in before; the attribute has what the server wrote.
    if (field.defaultValue !== '') field.value = localText(`${field.defaultValue}Z`).replace(' ', 'T');
    const zone = field.labels?.[0]?.querySelector('.zone');
    if (zone !== null && zone !== undefined) zone.textContent = 'your time';
    field.form?.addEventListener('formdata', ({ formData }) => {
      if (field.value !== '') formData.set(field.name, new Date(field.value).toISOString());
    });
  }
}
