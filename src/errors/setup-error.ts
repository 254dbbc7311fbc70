/** What keeps a process from starting or going on. Its message is for whoever started it, and says what to do; no stack helps there. */
export abstract class SetupError extends Error {}
