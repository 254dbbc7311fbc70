/**
 * preview returns the first `length` characters of a text, and `...` when the text is longer. It counts
 * characters as people do, so that no emoji is cut in two.
 */
export function preview(text: string, length: number): string {
  // A character has at most two code units. The slice therefore never cuts too much, and a 10 MB question is
  // not spread into an array.
  const characters = [...text.slice(0, 2 * length + 2)];
  return characters.length > length ? `${characters.slice(0, length).join('')}...` : text;
}
