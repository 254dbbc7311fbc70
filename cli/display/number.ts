/** numberText writes a number with its thousands separated: `1,234`. */
export function numberText(value: number): string {
  return value.toLocaleString('en-US');
}

/** countText writes a number of things: `1 line`, `1,234 lines`. */
export function countText(count: number, noun: string, plural = `${noun}s`): string {
  return `${numberText(count)} ${count === 1 ? noun : plural}`;
}
