/**
 * TIME_LIMIT_MS is how long a test waits for a fact before it fails. It only ends a wait that is in vain, and
 * says nothing about how fast the product is. At 3 s a machine with a load of ten failed tests of right code.
 */
export const TIME_LIMIT_MS = 30_000;
