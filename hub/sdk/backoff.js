// When to come back after a lost connection: docs/protocol.md, section 2.
//
// The first try comes at a uniform moment of the window that the hub told, so that a whole city of
// pages doesn't return at once. After that full jitter, doubling; a connection that lived for a minute
// starts it over. It never gives up.

const HEALTHY_AFTER_MS = 60_000;

export class Backoff {
  #tries = 0;
  #windowMs;
  #bounds;
  #random;

  /** @param {{windowMs?: number, minMs?: number, maxMs?: number}} bounds */
  constructor({ windowMs = 5_000, minMs = 2_000, maxMs = 120_000 } = {}, random = Math.random) {
    this.#bounds = { windowMs, minMs, maxMs };
    this.#windowMs = windowMs;
    this.#random = random;
  }

  /** The window that the hub told; a bound of our own may be shorter. */
  window(seconds) {
    if (seconds > 0) this.#windowMs = Math.min(seconds * 1000, this.#bounds.windowMs);
  }

  /** A connection ended that had lived for so long. */
  ended(livedMs) {
    if (livedMs >= HEALTHY_AFTER_MS) this.#tries = 0;
  }

  /** ms until the next try. */
  next() {
    const { minMs, maxMs } = this.#bounds;
    const most = this.#tries === 0 ? this.#windowMs : Math.min(maxMs, minMs * 2 ** (this.#tries - 1));
    this.#tries += 1;
    return this.#random() * most;
  }
}
