import { AsyncLocalStorage } from 'node:async_hooks';
import { ROOT_CONTEXT } from '@opentelemetry/api';

/** AsyncContexts keeps OpenTelemetry's active context over `await`, as the SDK for Node does. */
export class AsyncContexts {
  #storage = new AsyncLocalStorage();
  active() {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }
  with(context, work, self, ...args) {
    return this.#storage.run(context, () => work.apply(self, args));
  }
  bind(context, target) {
    return (...args) => this.with(context, target, undefined, ...args);
  }
  enable() {
    return this;
  }
  disable() {
    return this;
  }
}
