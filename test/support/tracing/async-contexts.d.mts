import type { ContextManager } from '@opentelemetry/api';

export const AsyncContexts: new () => ContextManager;
