/**
 * How long a test waits for a fact before it fails, in milliseconds. One constant scales them all: CI
 * machines are slow, and a person wants to see a failure soon.
 */
export const TIME_LIMIT_MS = process.env['CI'] === undefined ? 3_000 : 10_000;
