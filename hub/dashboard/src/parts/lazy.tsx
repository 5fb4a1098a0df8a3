// Parts of the page that are loaded when they are first looked at: the map, and the charts.

import type { ComponentChildren, ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

type Load<P> = () => Promise<{ default: ComponentType<P> }>;

export function lazy<P extends object>(load: Load<P>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Lazy(props: P) {
    const [, again] = useState(0);
    const [failed, fail] = useState('');
    useEffect(() => {
      if (loaded) return;
      load().then(
        (module) => {
          loaded = module.default;
          again((n) => n + 1);
        },
        (error: unknown) => fail(String(error)),
      );
    }, []);
    if (failed) {
      return (
        <div class="empty" role="alert">
          <h1>This part of the page could not be loaded</h1>
          <p>The hub may have been updated meanwhile. Reload the page.</p>
          <button type="button" class="primary" onClick={() => location.reload()}>Reload</button>
        </div>
      );
    }
    const Loaded = loaded;
    return Loaded ? <Loaded {...props} /> : <div class="skeleton tall" aria-busy="true" />;
  };
}

/** Names what is loading, for those who hear the page. */
export function Suspense({ what, children }: { what: string; children: ComponentChildren }) {
  return <div class="view-slot" aria-label={what}>{children}</div>;
}
