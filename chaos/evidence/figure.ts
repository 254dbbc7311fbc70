import type { Requirement } from '../scenario.ts';

/** Worth knowing; nothing was promised. */
export function figure(what: string, measured: string | number): Requirement {
  return { what, required: '', measured: String(measured), met: undefined };
}

/** 0.934 as 93.4 %. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
