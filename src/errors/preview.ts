/**
 * preview returns the first `length` characters of a text, and `...` when there is more. It counts characters
 * as people do, so that no emoji is cut in two.
 */
export function preview(text: string, length: number): string {
  // At most two code units a character: a longer slice never matters, and a 10 MB question is not spread into
  // an array.
  const characters = [...text.slice(0, 2 * length + 2)];
  return characters.length > length ? `${characters.slice(0, length).join('')}...` : text;
}
