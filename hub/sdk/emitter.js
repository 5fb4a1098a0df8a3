// Says what happened to whoever listens.

export class Emitter {
  #listeners = new Map();

  /** Calls `listener` for every event of this name; the returned function ends that. */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** The first event of this name. */
  once(name) {
    return new Promise((resolve) => {
      const off = this.on(name, (event) => {
        off();
        resolve(event);
      });
    });
  }

  /** A listener that throws stops neither the others nor us: it is reported as uncaught. */
  emit(name, event) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** What the hub refused, or what can't be done. `code` is the protocol's word. */
export class HubError extends Error {
  constructor(code, message, { field = '', retryAfterMs = 0, status = 0, current = null } = {}) {
    super(message);
    this.name = 'HubError';
    this.code = code;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
    this.status = status;
    this.current = current;
  }
}

/** Of a request whose answer will not come. */
export function cutOff() {
  return new HubError('LOST', 'the connection ended before the answer; it may have happened');
}
